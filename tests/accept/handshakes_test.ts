// Tests of handshakes: who is punished for one that came to nothing, and who is not.
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { ClosedError, TlsError } from "../../errors.ts";
import { Admission, type RefusalReason } from "../../limits/admission.ts";
import type { Ticket } from "../../limits/ticket.ts";
import { Penalties } from "../../limits/penalties.ts";
import { handshakeFault, HangUp } from "../../net/transport/faults.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { Address, Incoming, Transport } from "../../net/transport/transport.ts";
import { type Handshake, TransportHandshake } from "../../accept/handshake.ts";
import { Handshakes } from "../../accept/handshakes.ts";
import { newServerCounters } from "../../stats/data/counters.ts";
import { DurationHistogram } from "../../stats/data/duration_histogram.ts";
import { codeOf } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";

const SOURCE = "192.0.2.7";
const ADDRESS: Address = { transport: "tcp", hostname: SOURCE, port: 1 };

/** A connection whose handshake does what `open` does. */
function incomingOf(open: (signal: AbortSignal) => Promise<Transport>): Incoming {
  return {
    localAddr: ADDRESS,
    remoteAddr: ADDRESS,
    open: ({ signal }) => open(signal),
    refuse() {},
  };
}

/** A client that says nothing: its handshake lasts until it is ended. */
const silent = incomingOf((signal) => {
  const { promise, reject } = Promise.withResolvers<Transport>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
});

/** What a test does in place of a server. */
interface BenchOptions {
  timeoutMs?: number;
  isInstant?: boolean;
  /** Whether a peer whose connection opens is refused in order. */
  isRefused?: (incoming: Incoming) => boolean;
}

/** Handshakes of one server, and what came of them. */
function bench(
  { timeoutMs = 60_000, isInstant = false, isRefused = () => false }: BenchOptions = {},
) {
  const penalties = new Penalties({ graceMs: 0 });
  const admission = new Admission<AbortController>({}, { penalties });
  const counters = { connectionsReplaced: 0, handshakeFailures: 0, handshakeTimeouts: 0 };
  const stopping = new AbortController();
  const failures: unknown[] = [];
  const refusals: RefusalReason[] = [];
  const replaced: Incoming[] = [];
  const handshake: Handshake<Transport> = {
    isInstant,
    async perform(incoming, signal) {
      const transport = await incoming.open({ signal });
      return isRefused(incoming) ? null : transport;
    },
    discard: (transport) => transport.close(),
  };
  const handshakes = new Handshakes(admission, penalties, {
    counters,
    handshakes: new DurationHistogram(),
  }, {
    handshake,
    timeoutMs,
    stopping: stopping.signal,
    onFailed: (error) => failures.push(error),
    onRefused: (_incoming, reason) => refusals.push(reason),
    onReplaced: (incoming) => replaced.push(incoming),
  });
  const admit = (): Ticket<AbortController> => {
    const result = admission.admit(SOURCE, performance.now());
    assert(result.kind === "admitted");
    return result.ticket;
  };
  const owedMs = () => penalties.remainingMs(SOURCE, performance.now());
  return {
    admission,
    penalties,
    counters,
    stopping,
    failures,
    refusals,
    replaced,
    handshakes,
    admit,
    owedMs,
  };
}

Deno.test("Handshakes.replace() ends a handshake, counts it, and punishes no source for it", async () => {
  const { admission, counters, failures, replaced, handshakes, admit, owedMs } = bench();
  const ticket = admit();
  const finishing = handshakes.finish(silent, ticket);
  handshakes.replace(ticket);
  assertEquals(await finishing, null);
  assertEquals(owedMs(), 0);
  assertEquals([failures, replaced], [[], [silent]]);
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
  const { admission, counters, stopping, failures, replaced, handshakes, admit, owedMs } = bench();
  const finishing = handshakes.finish(silent, admit());
  stopping.abort(new Error("The server is draining"));
  assertEquals(await finishing, null);
  assertEquals([owedMs(), failures, admission.connections], [0, [], 0]);
  assertEquals(counters.handshakeFailures, 0);
  assertEquals(replaced, []);
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
  const { counters, failures, handshakes, admit, owedMs } = bench({ timeoutMs: 1 });
  assertEquals(await settles("the deadline", handshakes.finish(silent, admit())), null);
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

Deno.test("Handshakes pay off for a good one what a failed one owed, unless it was refused in order", async () => {
  const refused: Incoming[] = [];
  const { handshakes, admit, owedMs } = bench({
    isRefused: (incoming) => refused.includes(incoming),
  });
  const error = new TlsError("ERR_TLS_HANDSHAKE", "Cannot finish the TLS handshake: it is no TLS");
  const early = [admit(), admit()];
  await handshakes.finish(incomingOf(() => Promise.reject(error)), admit());
  const [near, far] = memoryPair();
  const good = incomingOf(() => Promise.resolve(near));
  refused.push(good);
  assertEquals(await handshakes.finish(good, early[0]!), null);
  assert(owedMs() > 0);
  refused.pop();
  await handshakes.finish(good, early[1]!);
  assertEquals(owedMs(), 0);
  near.close();
  far.close();
});

Deno.test("Handshakes that are none make no timer and no controller", async () => {
  const { admission, handshakes, admit } = bench({ isInstant: true });
  const made: string[] = [];
  const { setTimeout, AbortController } = globalThis;
  const [near, far] = memoryPair();
  try {
    globalThis.setTimeout = ((...given: Parameters<typeof setTimeout>) => {
      made.push("timer");
      return setTimeout(...given);
    }) as typeof setTimeout;
    globalThis.AbortController = class extends AbortController {
      constructor() {
        super();
        made.push("controller");
      }
    };
    assertStrictEquals(
      await handshakes.finish(incomingOf(() => Promise.resolve(near)), admit()),
      near,
    );
  } finally {
    Object.assign(globalThis, { setTimeout, AbortController });
  }
  assertEquals([made, admission.connections, admission.pending], [[], 1, 0]);
  near.close();
  far.close();
});

Deno.test("Handshakes take a connection that is ready at once, and leave all others to finish()", async () => {
  const limits = { admission: {}, timeoutMs: 60_000 };
  const admission = new Admission<AbortController>(limits.admission);
  const tally = { counters: newServerCounters(), handshakes: new DurationHistogram() };
  const stopping = new AbortController();
  const failures: unknown[] = [];
  const handshakes = new Handshakes(admission, new Penalties(), tally, {
    handshake: new TransportHandshake({ isTls: false, protocol: null }),
    timeoutMs: limits.timeoutMs,
    stopping: stopping.signal,
    onFailed: (error) => failures.push(error),
    onRefused: () => {},
    onReplaced: () => {},
  });
  const admit = () => {
    const result = admission.admit(SOURCE, performance.now());
    assert(result.kind === "admitted");
    return result.ticket;
  };
  const [near, far] = memoryPair();
  const base = incomingOf(() => Promise.resolve(near));
  const ticket = admit();
  assertStrictEquals(handshakes.finishNow({ ...base, openNow: () => near }, ticket), near);
  assertEquals([ticket.state, admission.pending, tally.handshakes.stats().count], [
    "established",
    0,
    1,
  ]);
  admission.release(ticket);
  // One that takes time, one of a balancer, and one whose socket has a fault: none is lost.
  const fault = () => {
    throw new TlsError("ERR_TLS_HANDSHAKE", "It stands for a fault of the socket");
  };
  const identify = () => Promise.resolve();
  const broken = { ...incomingOf(() => Promise.reject(new Error("broken"))), openNow: fault };
  for (const later of [base, { ...base, openNow: () => near, identify }, broken]) {
    const ticket = admit();
    assertEquals(handshakes.finishNow(later, ticket), null);
    assertEquals(ticket.state, "pending");
    if (later === broken) assertEquals(await handshakes.finish(later, ticket), null);
    else admission.release(ticket);
  }
  assertEquals([failures.length, admission.connections], [1, 0]);
  stopping.abort();
  const last = admit();
  assertEquals(handshakes.finishNow({ ...base, openNow: () => near }, last), null);
  near.close();
  far.close();
});

/** A connection of a balancer, which says that it stands for `hostname`. */
function proxied(
  hostname: string,
  identify?: () => Promise<void>,
): Incoming & { refused: boolean } {
  let remoteAddr = ADDRESS;
  return {
    refused: false,
    localAddr: ADDRESS,
    get remoteAddr() {
      return remoteAddr;
    },
    async identify() {
      await identify?.();
      remoteAddr = { transport: "tcp", hostname, port: 1 };
    },
    open: () => Promise.resolve(memoryPair()[0]),
    refuse() {
      this.refused = true;
    },
  };
}

Deno.test("Handshakes hear for whom a balancer stands first, and count that source", async () => {
  const { admission, penalties, refusals, handshakes } = bench({ isInstant: true });
  const admitUnknown = () => {
    const result = admission.admit(null, performance.now());
    assert(result.kind === "admitted");
    return result.ticket;
  };
  const ticket = admitUnknown();
  assert(await handshakes.finish(proxied("203.0.113.5"), ticket) !== null);
  assertEquals(ticket.source, "203.0.113.5");
  penalties.punish("203.0.113.6", "failed_auth", performance.now());
  const incoming = proxied("203.0.113.6");
  assertEquals(await handshakes.finish(incoming, admitUnknown()), null);
  assertEquals([refusals, incoming.refused, admission.connections], [["penalized"], true, 1]);
});

Deno.test("Handshakes punish no source for what a balancer does: no header, a wrong one, or none in time", async () => {
  const { admission, penalties, counters, failures, handshakes } = bench({ timeoutMs: 20 });
  const wrong = new TlsError("ERR_TLS_HANDSHAKE", "It stands for a wrong header");
  for (const identify of [() => Promise.reject(wrong), () => new Promise<void>(() => {})]) {
    const result = admission.admit(null, performance.now());
    assert(result.kind === "admitted");
    const incoming = { ...proxied(SOURCE), remoteAddr: ADDRESS, identify: untilAborted(identify) };
    assertEquals(await settles("the handshake", handshakes.finish(incoming, result.ticket)), null);
  }
  assertEquals([penalties.size, admission.connections], [0, 0]);
  assertEquals(failures.map(codeOf), ["ERR_TLS_HANDSHAKE", "ERR_HANDSHAKE_TIMEOUT"]);
  assertEquals(counters, { connectionsReplaced: 0, handshakeFailures: 1, handshakeTimeouts: 1 });
});

/** What a balancer does until its time is over. */
function untilAborted(work: () => Promise<void>): NonNullable<Incoming["identify"]> {
  return ({ signal }) => {
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    return Promise.race([work(), promise]);
  };
}
