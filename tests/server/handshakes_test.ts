// Tests of handshakes: who is punished for one that came to nothing, and who is not.
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { ClosedError, TlsError } from "../../errors.ts";
import { Admission, type Ticket } from "../../limits/admission.ts";
import { Penalties } from "../../limits/penalties.ts";
import { handshakeFault, HangUp } from "../../net/faults.ts";
import { memoryPair } from "../../net/transport.ts";
import type { Address, Incoming, Transport } from "../../net/transport.ts";
import { Handshakes } from "../../server/handshakes.ts";
import { DurationHistogram } from "../../stats/duration_histogram.ts";
import { codeOf } from "../support/servers.ts";

const SOURCE = "192.0.2.7";
const ADDRESS: Address = { transport: "tcp", hostname: SOURCE, port: 1 };

/** A connection whose handshake does what `open` does. */
function incomingOf(open: (signal: AbortSignal) => Promise<Transport>): Incoming {
  return { localAddr: ADDRESS, remoteAddr: ADDRESS, open: ({ signal }) => open(signal), refuse() {} };
}

/** A client that says nothing: its handshake lasts until it is ended. */
const silent = incomingOf((signal) => {
  const { promise, reject } = Promise.withResolvers<Transport>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
});

/** Handshakes of one server, and what came of them. */
function bench(timeoutMs = 60_000) {
  const penalties = new Penalties();
  const admission = new Admission<AbortController>();
  const counters = { connectionsReplaced: 0, handshakeFailures: 0, handshakeTimeouts: 0 };
  const stopping = new AbortController();
  const failures: unknown[] = [];
  const handshakes = new Handshakes(admission, penalties, { counters, handshakes: new DurationHistogram() }, {
    timeoutMs,
    stopping: stopping.signal,
    protocol: null,
    onFailed: (error) => failures.push(error),
  });
  const admit = (): Ticket<AbortController> => {
    const result = admission.admit(SOURCE, performance.now());
    assert(result.kind === "admitted");
    return result.ticket;
  };
  const owedMs = () => penalties.remainingMs(SOURCE, performance.now());
  return { admission, counters, stopping, failures, handshakes, admit, owedMs };
}

Deno.test("Handshakes.replace() ends a handshake, counts it, and punishes no source for it", async () => {
  const { admission, counters, failures, handshakes, admit, owedMs } = bench();
  const ticket = admit();
  const finishing = handshakes.finish(silent, ticket);
  handshakes.replace(ticket);
  assertEquals(await finishing, null);
  assertEquals(owedMs(), 0);
  assertEquals(failures, []);
  assertEquals(counters, { connectionsReplaced: 1, handshakeFailures: 0, handshakeTimeouts: 0 });
  assertEquals(admission.connections, 0);
});

Deno.test("Handshakes.replace() closes a connection whose handshake finishes at that very moment", async () => {
  const { admission, failures, handshakes, admit, owedMs } = bench();
  const [near, far] = memoryPair();
  const ticket = admit();
  const incoming = incomingOf(() => {
    handshakes.replace(ticket);
    return Promise.resolve(near);
  });
  assertEquals(await handshakes.finish(incoming, ticket), null);
  assertEquals(await far.read(), null);
  assertEquals([owedMs(), failures, admission.connections], [0, [], 0]);
  far.close();
});

Deno.test("Handshakes punish no source when the server stops", async () => {
  const { admission, counters, stopping, failures, handshakes, admit, owedMs } = bench();
  const finishing = handshakes.finish(silent, admit());
  stopping.abort(new Error("The server is draining"));
  assertEquals(await finishing, null);
  assertEquals([owedMs(), failures, admission.connections], [0, [], 0]);
  assertEquals(counters.handshakeFailures, 0);
});

Deno.test("Handshakes punish who fails, and tell why", async () => {
  const { admission, counters, failures, handshakes, admit, owedMs } = bench();
  const error = new TlsError("ERR_TLS_HANDSHAKE", "Cannot finish the TLS handshake: it is no TLS");
  assertEquals(await handshakes.finish(incomingOf(() => Promise.reject(error)), admit()), null);
  assert(owedMs() > 0);
  assertEquals(failures, [error]);
  assertEquals([counters.handshakeFailures, admission.connections], [1, 0]);
});

Deno.test("Handshakes count and tell of who hangs up in the midst of one, and punish no source for it", async () => {
  const errors = [
    handshakeFault(new HangUp("the client left")),
    handshakeFault(new Deno.errors.UnexpectedEof("unexpected end of file")),
    handshakeFault(new Deno.errors.ConnectionReset("connection reset")),
    new ClosedError("ERR_RESET", "The peer left before its HELLO"),
  ];
  const { admission, counters, failures, handshakes, admit, owedMs } = bench();
  for (const error of errors) {
    assertEquals(await handshakes.finish(incomingOf(() => Promise.reject(error)), admit()), null);
  }
  assertEquals([owedMs(), failures, admission.connections], [0, errors, 0]);
  assertEquals(counters.handshakeFailures, errors.length);
});

Deno.test("Handshakes punish who says nothing in time, for longer", async () => {
  const { counters, failures, handshakes, admit, owedMs } = bench(1);
  assertEquals(await handshakes.finish(silent, admit()), null);
  assert(owedMs() > 5_000);
  assertEquals(failures.map(codeOf), ["ERR_HANDSHAKE_TIMEOUT"]);
  assertEquals(counters, { connectionsReplaced: 0, handshakeFailures: 0, handshakeTimeouts: 1 });
});

Deno.test("Handshakes hand over the transport of a handshake that succeeds", async () => {
  const { admission, handshakes, admit, owedMs } = bench();
  const [near, far] = memoryPair();
  const transport = await handshakes.finish(incomingOf(() => Promise.resolve(near)), admit());
  assertStrictEquals(transport, near);
  assertEquals([owedMs(), admission.connections, admission.pending], [0, 1, 0]);
  near.close();
  far.close();
});
