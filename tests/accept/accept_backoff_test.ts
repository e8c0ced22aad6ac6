// Tests of the back-off of accept loops: it grows, is bounded, and starts over.
import { assertEquals } from "@std/assert";
import { AcceptBackoff } from "../../accept/accept_backoff.ts";

Deno.test("AcceptBackoff doubles from 5 ms to 500 ms and goes no further", () => {
  const backoff = new AcceptBackoff();
  const waits = Array.from({ length: 10 }, () => backoff.nextMs());
  assertEquals(waits, [5, 10, 20, 40, 80, 160, 320, 500, 500, 500]);
});

Deno.test("AcceptBackoff starts over after reset()", () => {
  const backoff = new AcceptBackoff();
  for (let fault = 0; fault < 10; fault++) backoff.nextMs();
  backoff.reset();
  assertEquals([backoff.nextMs(), backoff.nextMs()], [5, 10]);
});
