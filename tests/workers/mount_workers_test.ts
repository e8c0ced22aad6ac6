// Tests of mountWorkers(): one wire whose sessions are spread over threads.
import { MuxMemory } from "@parley/parley/mux";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ParleyError, TimeoutError } from "@parley/parley";
import { caller } from "@parley/parley/calls";
import { serveStats } from "@parley/parley/stats";
import {
  join,
  type JoinedWire,
  type MountedWorkers,
  mountWorkers,
  type MountWorkersOptions,
} from "@parley/parley/wire";
import { testCerts } from "../support/programs/certs.ts";
import { settles, until } from "../support/wait.ts";
import { deeds } from "./wire_handler.ts";

const MODULE = new URL("./wire_handler.ts", import.meta.url);
const onLinux = Deno.build.os === "linux";

/** What a wire passed to `onError`. */
type Complaint = readonly [error: unknown, phase: string, lost: number | undefined];

/** Mounts two workers, and collects what they complain of. */
async function twoWorkers(
  options: MountWorkersOptions = {},
): Promise<{ readonly wire: MountedWorkers; readonly complaints: Complaint[] }> {
  const complaints: Complaint[] = [];
  const wire = await mountWorkers(MODULE, {
    workers: 2,
    onError: (error, { phase, lostConnections }) =>
      complaints.push([error, phase, lostConnections]),
    ...options,
  });
  return { wire, complaints };
}

/** A client, and which worker has its session. */
interface Peer {
  readonly client: JoinedWire;
  readonly worker: number;
}

/** Joins once. */
async function joined(
  wire: MountedWorkers,
  stack: AsyncDisposableStack,
  identity: string,
  token = "good",
): Promise<Peer> {
  const client = join({ ...wire.addr, identity, token, reconnect: false, onError: () => {} });
  stack.defer(() => client.abort());
  await client.ready;
  return { client, worker: (await caller(client, deeds).who()).worker };
}

/** Joins under names of their own until each of two workers has a session; others leave again. */
async function onePerWorker(wire: MountedWorkers, stack: AsyncDisposableStack): Promise<Peer[]> {
  const byWorker = new Map<number, Peer>();
  for (let number = 0; byWorker.size < 2; number++) {
    const peer = await joined(wire, stack, `peer-${number}`).catch(() => null);
    if (peer === null) continue;
    if (byWorker.has(peer.worker)) peer.client.abort();
    else byWorker.set(peer.worker, peer);
  }
  await until("the others have left", () => open(wire) === 2);
  return [byWorker.get(1)!, byWorker.get(2)!];
}

/** Sessions that are open. */
function open(wire: MountedWorkers): number {
  const { connectionsOpened, connectionsClosed } = wire.stats().overall;
  return connectionsOpened - connectionsClosed;
}

Deno.test({
  name: "mountWorkers() serves one port by several threads, as one wire with one count",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const { wire, complaints } = await twoWorkers({ input: { greeting: "hi" } });
    stack.use(wire);
    const peers = await onePerWorker(wire, stack);
    for (const { client, worker } of peers) {
      assertEquals(await caller(client, deeds).who(), { worker, input: { greeting: "hi" } });
      const stream = await client.open("echo");
      await stream.write("a text");
      await stream.closeWrite();
      assertEquals(await new Response(stream.readable).text(), "a text");
    }
    await until("all is counted", () => {
      const { sessions, trafficByName } = wire.stats();
      const echo = trafficByName.find(({ name }) => name === "echo");
      return sessions.length === 2 && echo?.streams === 2 && echo.bytesIn >= 2 * 6;
    });
    const stats = wire.stats();
    assertEquals([stats.kind, stats.role, stats.state], ["wire", "mount", "listening"]);
    assertEquals(stats.today.counters, stats.overall);
    assertEquals(stats.handshakes.count, stats.overall.connectionsOpened);
    assert(stats.overall.bytesIn > 0 && stats.overall.streamsServed > 4, "streams and bytes");
    await using page = serveStats(wire);
    await page.ready;
    assert((await (await fetch(`${page.url}metrics`)).text()).includes("parley_"), "a page");
    await wire.shutdown();
    for (const { client } of peers) await settles("its end", client.closed);
    await settles("the end", wire.finished);
    assertEquals([open(wire), wire.state, complaints], [0, "stopped", []]);
    assert(wire.stats().overall.bytesOut >= stats.overall.bytesOut, "bytes outlive the workers");
  },
});

Deno.test({
  name: "mountWorkers() knows each identity once, whichever workers its sessions come to",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const { wire } = await twoWorkers();
    stack.use(wire);
    let owner = await joined(wire, stack, "alice", "good one");
    const owners = new Set([owner.worker]);
    for (let round = 0; round < 4 || owners.size < 2; round++) {
      // Another proof does not get the name, in no worker.
      const stranger = joined(wire, stack, "alice", `good ${round}`);
      assertEquals((await assertRejects(() => stranger, ParleyError)).code, "ERR_NAME_TAKEN");
      assertEquals(owner.client.status, "connected");
      // The same proof takes over, in each worker.
      const next = await joined(wire, stack, "alice", "good one");
      const end = await settles("the end of the old session", owner.client.closed);
      assertEquals((end as ParleyError | undefined)?.code, "ERR_NAME_TAKEN");
      await until("one is left", () => open(wire) === 1);
      assertEquals(await caller(next.client, deeds).sessions(), ["alice"]);
      owners.add(next.worker);
      owner = next;
    }
    // A session that ends frees the name.
    owner.client.abort();
    await until("it has left", () => open(wire) === 0);
    await until("the name is free", async () => {
      const peer = await joined(wire, stack, "alice", "good other").catch(() => null);
      return peer !== null;
    });
  },
});

Deno.test({
  name: "MountedWorkers loses only the sessions of a worker that dies, and frees their names",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const { wire, complaints } = await twoWorkers();
    stack.use(wire);
    const [other, victim] = await onePerWorker(wire, stack);
    const { identity } = victim!.client;
    await caller(victim!.client, deeds).die().catch(() => {});
    await settles("its end", victim!.client.closed);
    await until("the report", () => complaints.length === 1);
    const [error, phase, lost] = complaints[0]!;
    assert(error instanceof ParleyError && error.message.includes("code 7"), `${error}`);
    assertEquals([phase, lost, open(wire)], ["worker", 1, 1]);
    assertEquals((await caller(other!.client, deeds).who()).worker, 1);
    const seen = new Set<number>();
    await until("both workers serve, and the name is free", async () => {
      const peer = await joined(wire, stack, identity, "good new").catch(() => null);
      if (peer !== null) seen.add(peer.worker);
      return seen.size === 2;
    });
  },
});

Deno.test({
  name: "mountWorkers() counts maxConnections over all workers, and cuts what a drain cannot end",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const { ca, server } = await testCerts();
    const { wire, complaints } = await twoWorkers({ maxConnections: 4, tls: server });
    stack.defer(() => wire.abort());
    assert(wire.stats().certificate !== undefined);
    const tls = { caCerts: [ca.cert] };
    const clients: JoinedWire[] = [];
    for (let number = 0; number < 4; number++) {
      const identity = `peer-${number}`;
      const client = join({
        ...wire.addr,
        identity,
        token: "good",
        tls,
        reconnect: false,
        onError() {},
      });
      stack.defer(() => client.abort());
      await client.ready;
      clients.push(client);
    }
    const fifth = join({
      ...wire.addr,
      identity: "late",
      token: "good",
      tls,
      reconnect: false,
      onError() {},
    });
    await assertRejects(() => fifth.ready);
    await until("the report", () => complaints.length === 1);
    assertEquals((complaints[0]![0] as ParleyError).code, "ERR_TOO_MANY_CONNECTIONS");
    for (const client of clients) await client.open("hang");
    const error = await assertRejects(() => wire.shutdown({ timeoutMs: 50 }), TimeoutError);
    assertEquals([error.code, error.cutConnections], ["ERR_DRAIN_TIMEOUT", 4]);
    for (const client of clients) await settles("its end", client.closed);
  },
});

// deno-lint-ignore no-explicit-any -- what plain JavaScript may pass
type Wrong = any;

Deno.test("mountWorkers() says what is wrong with its options, and where functions belong", async () => {
  const cases: ReadonlyArray<readonly [options: Wrong, kind: typeof TypeError, text: string]> = [
    [{ workers: 0 }, RangeError, '"workers" must be 1 to 1024'],
    [{ authorize: () => true }, TypeError, '"authorize" cannot be passed to a thread: export it'],
    [{ presence: () => true }, TypeError, '"presence" is an option of a hub'],
    [{ maxStreamsPerPair: 5 }, TypeError, "Call hub() there"],
    [{ reusePort: true }, TypeError, "reusePort"],
    [{ mux: { memory: new MuxMemory() } }, TypeError, '"mux.memory" cannot be passed to a thread'],
    [{ port: 70_000 }, RangeError, '"port" must be 0 to 65535'],
    [{ drainDelayMs: -1 }, RangeError, '"drainDelayMs"'],
    [{ drainTimeoutMs: -1 }, RangeError, '"drainTimeoutMs"'],
    [null, TypeError, '"options" must be an object'],
  ];
  for (const [options, kind, text] of cases) {
    const given = options === null ? null : { workers: 1, ...options };
    await assertRejects(() => mountWorkers(MODULE, given), kind, text);
  }
  const module = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
  for (
    const [code, text] of [
      ["export default 5", "must export the function that registers its handlers as default"],
      ["export default () => {}", 'either "authorize" must say who may join'],
      [
        "export default () => { throw new TypeError('not today') }; export const options = { authorize() {} }",
        "not today",
      ],
      ["export default () => {}; export const options = { autorize() {} }", "authorize"],
    ] as const
  ) {
    await assertRejects(() => mountWorkers(module(code), { workers: 1 }), TypeError, text);
  }
});
