// Tests of the door that all listening sides share: listening, what counts, and the order of ending.
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { Door, type DoorParts, type DoorPlan } from "../../accept/door.ts";
import { type Handshake, TransportHandshake } from "../../accept/handshake.ts";
import { Listening, type ListenPlan } from "../../accept/listening.ts";
import { AddressError } from "../../errors.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { Address, Incoming, Listener, Transport } from "../../net/transport/transport.ts";
import { newServerCounters } from "../../stats/data/counters.ts";
import { DurationHistogram } from "../../stats/data/duration_histogram.ts";
import { settles } from "../support/wait.ts";

const HERE: Address = { transport: "tcp", hostname: "192.0.2.1", port: 1 };
const PEER: Address = { transport: "tcp", hostname: "192.0.2.7", port: 2 };
const REASON = new Error("The server ends");
const LOOPBACK: ListenPlan = { where: { port: 0 }, tls: undefined, listenOptions: {} };

/** A listener whose connections a test makes. */
class TestListener implements Listener {
  readonly addr = HERE;
  isClosed = false;
  isReferenced = true;
  /** How often a connection was asked for. */
  asked = 0;
  readonly #arrivals: Incoming[] = [];
  #waiter: PromiseWithResolvers<Incoming | null> | null = null;

  /** A connection comes; returns its far end, and whether it was refused. */
  arrive(): { far: Transport; state: { refused: boolean } } {
    const [near, far] = memoryPair();
    const state = { refused: false };
    const refuse = () => {
      state.refused = true;
      near.close();
    };
    const incoming = {
      localAddr: HERE,
      remoteAddr: PEER,
      open: () => Promise.resolve(near),
      refuse,
    };
    if (this.#waiter === null) this.#arrivals.push(incoming);
    this.#waiter?.resolve(incoming);
    this.#waiter = null;
    return { far, state };
  }

  accept(): Promise<Incoming | null> {
    this.asked++;
    const incoming = this.#arrivals.shift();
    if (incoming !== undefined) return Promise.resolve(incoming);
    if (this.isClosed) return Promise.resolve(null);
    this.#waiter = Promise.withResolvers();
    return this.#waiter.promise;
  }

  close(): void {
    this.isClosed = true;
    this.#waiter?.resolve(null);
  }

  ref(): void {
    this.isReferenced = true;
  }

  unref(): void {
    this.isReferenced = false;
  }
}

/** A door over a listener of the test's, and what it reported. */
function doorOf(parts: Partial<DoorParts<Transport>> = {}, plan: Partial<DoorPlan> = {}) {
  const reports: string[] = [];
  const counters = newServerCounters();
  const served: Transport[] = [];
  const door = new Door<Transport>({
    admission: {},
    penalties: undefined,
    exemptions: {},
    handshakeTimeoutMs: 60_000,
    ...plan,
  }, {
    handshake: new TransportHandshake({ isTls: false, protocol: null }),
    reporter: {
      report: (_error, { phase }) => void reports.push(phase),
      refused: (reason) => void reports.push(reason),
    },
    tally: { counters, handshakes: new DurationHistogram() },
    serve: (transport) => {
      served.push(transport);
      return Promise.resolve();
    },
    ...parts,
  });
  const listener = new TestListener();
  return { door, listener, reports, counters, served };
}

/** A handshake that lasts until the test lets it finish, or it is ended. */
class HeldHandshake implements Handshake<Transport> {
  readonly isInstant = false;
  readonly begun = Promise.withResolvers<void>();
  readonly release = Promise.withResolvers<void>();
  endedBy: unknown = null;

  async perform(incoming: Incoming, signal: AbortSignal): Promise<Transport> {
    this.begun.resolve();
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(this.endedBy = signal.reason), { once: true });
    await Promise.race([this.release.promise, promise]);
    return await incoming.open({ signal });
  }

  discard(transport: Transport): void {
    transport.close();
  }
}

Deno.test("Door.listen() listens, and close() frees the port", async () => {
  const { door } = doorOf();
  assertEquals([door.addr, door.credentials, door.isClosed], [null, null, false]);
  await door.listen(LOOPBACK);
  door.start();
  const { addr } = door;
  assert(addr !== null && addr.transport === "tcp");
  door.close(REASON);
  await settles("the end", door.idle());
  using again = Deno.listen({ hostname: addr.hostname, port: addr.port });
  assertEquals((again.addr as Deno.NetAddr).port, addr.port);
});

Deno.test("Door.listen() rejects with the reason of a close before it or while it waits", async () => {
  for (const isEarly of [true, false]) {
    const { door } = doorOf();
    if (isEarly) door.close(REASON);
    const listening = door.listen(LOOPBACK);
    door.close(REASON);
    assertStrictEquals(await assertRejects(() => settles("listen()", listening)), REASON);
    assertEquals([door.addr, door.isClosed], [null, true]);
    await door.idle();
  }
});

Deno.test("Door.listen() rejects where it cannot listen, and can be tried again", async () => {
  const { door } = doorOf();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  await assertRejects(() => door.listen({ ...LOOPBACK, where: { port } }), AddressError);
  await door.listen(LOOPBACK);
  door.close(REASON);
});

Deno.test("Door.take() closes the listener of a door that is closed already", () => {
  const { door, listener } = doorOf();
  door.close(REASON);
  assertStrictEquals(assertThrows(() => door.take(new Listening(listener))), REASON);
  assertEquals(listener.isClosed, true);
  assertStrictEquals(assertThrows(() => door.throwIfClosed()), REASON);
});

Deno.test("Door.start() wants a listener", () => {
  assertThrows(() => doorOf().door.start(), TypeError, "must listen first");
});

Deno.test("Door counts a connection until it was served, and idle() waits for it", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const serve = () => {
    begun.resolve();
    return promise;
  };
  const { door, listener } = doorOf({ serve });
  door.take(new Listening(listener));
  door.start();
  const { far } = listener.arrive();
  await settles("serve()", begun.promise);
  door.close(REASON);
  await settles("the accept loop", door.stopped);
  assertEquals([door.size, door.admission.connections], [1, 1]);
  let isIdle = false;
  const idle = door.idle().then(() => isIdle = true);
  await door.stopped;
  assertEquals(isIdle, false);
  resolve();
  await settles("idle()", idle);
  assertEquals([door.size, door.admission.connections], [0, 0]);
  far.close();
});

Deno.test("Door refuses and counts what is over a limit, at the limit and not below", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { door, listener, reports, counters } = doorOf({ serve: () => promise }, {
    admission: { maxConnections: 2 },
  });
  door.take(new Listening(listener));
  door.start();
  const states = [listener.arrive(), listener.arrive(), listener.arrive()].map(({ far, state }) => {
    far.close();
    return state;
  });
  for (let hop = 0; !states[2]!.refused && hop < 1000; hop++) await null;
  assertEquals(states.map(({ refused }) => refused), [false, false, true]);
  assertEquals([reports, counters.connectionsRefused], [["too_many_connections"], 1]);
  resolve();
  door.close(REASON);
  await settles("idle()", door.idle());
});

Deno.test("Door.close() ends handshakes under way with its reason", async () => {
  const handshake = new HeldHandshake();
  const { door, listener, served, reports } = doorOf({ handshake });
  door.take(new Listening(listener));
  door.start();
  const { far } = listener.arrive();
  await handshake.begun.promise;
  door.close(REASON);
  await settles("idle()", door.idle());
  assertStrictEquals(handshake.endedBy, REASON);
  assertEquals([served, reports, door.admission.connections], [[], [], 0]);
  far.close();
});

Deno.test("Door.close() with a grace lets a handshake finish that is under way", async () => {
  const handshake = new HeldHandshake();
  const { door, listener, served } = doorOf({ handshake });
  door.take(new Listening(listener));
  door.start();
  const { far } = listener.arrive();
  await handshake.begun.promise;
  door.close(REASON, 60_000);
  assertEquals(listener.isClosed, true);
  handshake.release.resolve();
  await settles("idle()", door.idle());
  assertEquals([served.length, handshake.endedBy], [1, null]);
  // Ends the grace, and its timer.
  door.close(new Error("later"));
  served[0]!.close();
  far.close();
});

Deno.test("Door.close() ends handshakes when the grace is over, or at a second call, by the first reason", async () => {
  for (const isAgain of [true, false]) {
    const handshake = new HeldHandshake();
    const { door, listener, served } = doorOf({ handshake });
    door.take(new Listening(listener));
    door.start();
    const { far } = listener.arrive();
    await handshake.begun.promise;
    door.close(REASON, isAgain ? 60_000 : 1);
    if (isAgain) door.close(new Error("later"));
    await settles("idle()", door.idle());
    assertStrictEquals(handshake.endedBy, REASON);
    assertEquals(served, []);
    far.close();
  }
});

Deno.test("Door accepts no more than hasRoom allows, and goes on when a connection has ended", async () => {
  const ends: PromiseWithResolvers<void>[] = [];
  const { door, listener } = doorOf({
    serve() {
      ends.push(Promise.withResolvers());
      return ends.at(-1)!.promise;
    },
    hasRoom: (size) => size < 2,
  });
  door.take(new Listening(listener));
  door.start();
  for (const _ of [1, 2, 3]) listener.arrive().far.close();
  for (let hop = 0; hop < 1000; hop++) await null;
  assertEquals([door.size, listener.asked], [2, 2]);
  ends[0]!.resolve();
  for (let hop = 0; door.size < 2 || ends.length < 3; hop++) {
    assert(hop < 1000);
    await null;
  }
  assertEquals([door.size, listener.asked], [2, 3]);
  door.close(REASON);
  for (const end of ends) end.resolve();
  await settles("idle()", door.idle());
});

Deno.test("Door.unref() holds for a listener that comes later", () => {
  const { door, listener } = doorOf();
  door.unref();
  door.take(new Listening(listener));
  assertEquals(listener.isReferenced, false);
  door.ref();
  assertEquals(listener.isReferenced, true);
  door.unref();
  assertEquals(listener.isReferenced, false);
  door.close(REASON);
});
