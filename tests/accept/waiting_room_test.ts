// Tests of connections that wait because their source has too many handshakes under way.
import { assertEquals } from "@std/assert";
import { Admission, type RefusalReason } from "../../limits/admission.ts";
import type { Ticket } from "../../limits/ticket.ts";
import type { Incoming, Listener, Transport } from "../../net/transport/transport.ts";
import { acceptLoop } from "../../accept/accept_loop.ts";
import { WaitingRoom } from "../../accept/waiting_room.ts";
import { settle } from "../support/simulation/test_clock.ts";

/** A connection from an address, which counts how often it was refused. */
function incomingFrom(hostname: string): Incoming & { refusals: number } {
  return {
    refusals: 0,
    localAddr: { transport: "tcp", hostname: "192.0.2.1", port: 1 },
    remoteAddr: { transport: "tcp", hostname, port: 1 },
    open: () => Promise.reject<Transport>(new Error("Not wanted")),
    refuse() {
      this.refusals++;
    },
  };
}

/** Time that passes only when the test says so. */
class Waits {
  #wake: (() => void)[] = [];

  readonly pause = (_ms: number, signal?: AbortSignal): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake.push(resolve);
    signal?.addEventListener("abort", () => resolve(), { once: true });
    return promise;
  };

  async pass(): Promise<void> {
    for (const wake of this.#wake.splice(0)) wake();
    await settle();
  }
}

Deno.test("WaitingRoom asks again and again until a connection is let in or refused", async () => {
  const waits = new Waits();
  const room = new WaitingRoom(new AbortController().signal, waits.pause);
  const answers = [20, 20, 0];
  const incoming = incomingFrom("192.0.2.7");
  const held = room.hold("192.0.2.7", 50, () => answers.shift() ?? 0, () => incoming.refuse());
  for (let count = 0; count < 3; count++) await waits.pass();
  await held;
  assertEquals([answers, incoming.refusals], [[], 0]);
});

Deno.test("WaitingRoom lets 64 of one source wait and 128 of all, and has room again once they have left", async () => {
  const waits = new Waits();
  const room = new WaitingRoom(new AbortController().signal, waits.pause);
  const held: Promise<void>[] = [];
  for (const source of ["192.0.2.7", "192.0.2.8"]) {
    for (let count = 0; count < 64; count++) {
      assertEquals(room.hasRoomFor(source), true);
      held.push(room.hold(source, 50, () => 0, () => {}));
    }
    assertEquals(room.hasRoomFor(source), false);
  }
  assertEquals(room.hasRoomFor("192.0.2.9"), false);
  await waits.pass();
  await Promise.all(held);
  assertEquals(["192.0.2.7", "192.0.2.9"].map((source) => room.hasRoomFor(source)), [true, true]);
});

Deno.test("WaitingRoom refuses who waits when its server stops", async () => {
  const stopping = new AbortController();
  const room = new WaitingRoom(stopping.signal, new Waits().pause);
  const incoming = incomingFrom("192.0.2.7");
  const held = room.hold("192.0.2.7", 50, () => 50, () => incoming.refuse());
  stopping.abort();
  await held;
  assertEquals(incoming.refusals, 1);
});

Deno.test("acceptLoop() lets other sources in while one has to wait for its handshakes, and then that one", async () => {
  const waits = new Waits();
  const admission = new Admission<AbortController>({ maxPendingPerSource: 1, stallMs: 60_000 });
  const arrivals = ["192.0.2.7", "192.0.2.7", "192.0.2.8", "192.0.2.8"].map(incomingFrom);
  const last = arrivals.at(-1)!;
  const closed = Promise.withResolvers<null>();
  const stopping = new AbortController();
  const listener: Listener = {
    addr: arrivals[0]!.localAddr,
    accept: () => Promise.resolve(arrivals.shift() ?? closed.promise),
    close() {},
    ref() {},
    unref() {},
  };
  const admitted: Ticket<AbortController>[] = [];
  const refusals: RefusalReason[] = [];
  const loop = acceptLoop(
    listener,
    admission,
    {
      onAdmitted: (_incoming, ticket) => admitted.push(ticket),
      onRefused: (_incoming, reason) => refusals.push(reason),
      onReplaced() {},
      onFault() {},
    },
    stopping.signal,
    waits.pause,
  );
  await settle();
  assertEquals(admitted.map(({ source }) => source), ["192.0.2.7", "192.0.2.8"]);
  await waits.pass();
  assertEquals(admitted.length, 2, "its first handshake is still under way");
  admission.established(admitted[0]!, performance.now());
  await waits.pass();
  assertEquals(admitted.map(({ source }) => source), ["192.0.2.7", "192.0.2.8", "192.0.2.7"]);
  assertEquals(refusals, []);
  stopping.abort();
  closed.resolve(null);
  await loop;
  await settle();
  assertEquals([refusals, last.refusals], [["draining"], 1], "the one that still waited");
});

Deno.test("acceptLoop() counts a balancer's connection for no source until its header has been read", async () => {
  const admission = new Admission<AbortController>({
    maxPendingPerSource: 1,
    pendingDrop: "newest",
  });
  const arrivals: (Incoming | null)[] = [1, 2, 3].map(() => ({
    ...incomingFrom("192.0.2.7"),
    identify: () => Promise.resolve(),
  }));
  const sources: unknown[] = [];
  await acceptLoop(
    {
      addr: arrivals[0]!.localAddr,
      accept: () => Promise.resolve(arrivals.shift() ?? null),
      close() {},
      ref() {},
      unref() {},
    },
    admission,
    {
      onAdmitted: (_incoming, { source }) => sources.push(source),
      onRefused() {},
      onReplaced() {},
      onFault() {},
    },
    new AbortController().signal,
  );
  assertEquals(sources, [null, null, null]);
});
