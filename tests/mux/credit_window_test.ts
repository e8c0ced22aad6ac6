// Tests of the flow-control windows.
import { assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../errors.ts";
import { INITIAL_WINDOW_BYTES, ReceiveWindow, SendWindow } from "../../mux/credit_window.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** A context that never grows unless the test says so. */
function context(
  now = 0,
  rttMs: number | undefined = undefined,
  reserve: (bytes: number) => boolean = () => true,
) {
  return { now, rttMs, reserve };
}

Deno.test("SendWindow starts at 256 KiB and counts what is taken and given", () => {
  const window = new SendWindow();
  assertEquals(window.credit, 256 * KIB);
  window.take(100 * KIB);
  window.grant(40 * KIB);
  assertEquals(window.credit, 196 * KIB);
});

Deno.test("SendWindow takes a sum of exactly 2^32 - 1 and refuses one more", () => {
  const window = new SendWindow();
  window.grant(0xffffffff - INITIAL_WINDOW_BYTES);
  assertEquals(window.credit, 0xffffffff);
  const error = assertThrows(() => window.grant(1), ProtocolError);
  assertEquals(error.code, "ERR_MUX_WINDOW");
});

Deno.test("ReceiveWindow takes exactly the window and refuses one byte more", () => {
  const window = new ReceiveWindow(MIB, 0);
  window.receive(INITIAL_WINDOW_BYTES - 1);
  window.receive(1);
  assertEquals(assertThrows(() => window.receive(1), ProtocolError).code, "ERR_MUX_WINDOW");
});

Deno.test("ReceiveWindow gives credit back only for what was consumed, from half a window on", () => {
  const window = new ReceiveWindow(MIB, 0);
  window.receive(200 * KIB);
  assertEquals(window.consume(128 * KIB - 1), false);
  assertEquals(window.consume(1), true);
  assertEquals(window.update(context()), 128 * KIB);
  assertEquals(window.available, (256 - 200 + 128) * KIB);
});

Deno.test("ReceiveWindow doubles when half a window goes within two round trips, up to its maximum", () => {
  const window = new ReceiveWindow(MIB, 0);
  const sizes = [];
  for (let round = 0; round < 4; round++) {
    const half = window.size / 2;
    window.receive(half);
    window.consume(half);
    window.update(context(round, 1));
    sizes.push(window.size / KIB);
    assertEquals(window.available, window.size);
  }
  assertEquals(sizes, [512, 1024, 1024, 1024]);
  assertEquals(window.size - INITIAL_WINDOW_BYTES, 768 * KIB);
});

Deno.test("ReceiveWindow does not grow for a slow reader, without a round trip, or without budget", () => {
  for (const given of [context(1000, 1), context(0, undefined), context(0, 1, () => false)]) {
    const window = new ReceiveWindow(MIB, 0);
    window.receive(128 * KIB);
    window.consume(128 * KIB);
    assertEquals(window.update(given), 128 * KIB);
    assertEquals(window.size, INITIAL_WINDOW_BYTES);
  }
});
