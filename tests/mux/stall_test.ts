// Tests of MuxSession with a reader that stops: its sender stalls, memory stays flat, the others
// keep their rate.
import { assert, assertEquals, fail } from "@std/assert";
import { ParleyError } from "../../errors.ts";
import {
  INITIAL_WINDOW_BYTES,
  MuxMemory,
  MuxSession,
  type MuxSessionOptions,
  type MuxStream,
} from "../../mux/mod.ts";
import { dial } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { simLink } from "../support/simulation/sim_link.ts";
import { TestClock } from "../support/simulation/test_clock.ts";
import { settles, until } from "../support/wait.ts";

/** Streams of a session, one of which stalls. */
const STREAMS = 64;
/** Share of their rate that the others must keep. */
const LEAST_SHARE = 0.9;
/** Pairs of measurements in a row whose median must reach that. */
const ROW_OF_PAIRS = 21;
/** Bytes of one write. */
const CHUNK = new Uint8Array(16 * 1024).fill(7);
/** Time in which everything that waits on a killed session must settle. */
const SETTLE_MS = 1000;

/** One stream with both of its ends. */
interface Flow {
  readonly from: MuxStream;
  readonly to: MuxStream;
}

async function tcpTransports(): Promise<[Transport, Transport]> {
  const { signal } = new AbortController();
  const listener = await listen({ port: 0 });
  assert(listener.addr.transport === "tcp");
  const [near, incoming] = await Promise.all([dial(listener.addr, { signal }), listener.accept()]);
  listener.close();
  assert(incoming !== null);
  return [near, await incoming.open({ signal })];
}

/** Two sessions with a memory budget of their own, and streams between them; ended with the scope. */
class Fabric implements AsyncDisposable {
  readonly client: MuxSession;
  readonly server: MuxSession;

  constructor([near, far]: [Transport, Transport], options: Partial<MuxSessionOptions> = {}) {
    const shared = { keepAliveMs: 0, maxWindowBytes: INITIAL_WINDOW_BYTES, ...options };
    this.client = new MuxSession(near, { ...shared, role: "client", memory: new MuxMemory() });
    this.server = new MuxSession(far, { ...shared, role: "server", memory: new MuxMemory() });
  }

  async open(): Promise<Flow> {
    const from = await this.client.openStream();
    const to = await this.server.acceptStream();
    assert(to !== null);
    assertEquals(to.id, from.id);
    return { from, to };
  }

  async openAll(): Promise<[Flow, Flow[]]> {
    const flows: Flow[] = [];
    while (flows.length < STREAMS) flows.push(await this.open());
    const [stalled, ...others] = flows;
    assert(stalled !== undefined);
    return [stalled, others];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.abort();
    this.server.abort();
    await Promise.all([this.client.closed, this.server.closed]);
  }
}

/** Writes until the stream ends. */
async function writeOn({ from }: Flow): Promise<void> {
  while (await from.write(CHUNK).then(() => true, () => false));
}

/** Reads until the stream ends. */
async function readOn({ to }: Flow): Promise<void> {
  while (await to.read().then((chunk) => chunk !== null, () => false));
}

async function writeBytes({ from }: Flow, count: number): Promise<void> {
  for (let left = count; left > 0; left -= CHUNK.length) {
    await from.write(CHUNK.subarray(0, Math.min(left, CHUNK.length)));
  }
}

async function readBytes({ to }: Flow, count: number): Promise<void> {
  for (let left = count; left > 0;) {
    const chunk = await to.read();
    assert(chunk !== null && chunk.length <= left);
    left -= chunk.length;
  }
}

/** Moves as many bytes over each flow, however long that takes, but not for ever. */
async function moveBytes(flows: readonly Flow[], count: number): Promise<void> {
  const moves = flows.flatMap((flow) => [writeBytes(flow, count), readBytes(flow, count)]);
  await settles("the other streams go on", Promise.all(moves), 20_000);
}

/** Bytes that each of 63 streams moves in a second of a link's time, beside one that is read or not. */
async function bytesBeside(firstIsRead: boolean): Promise<number[]> {
  const clock = new TestClock();
  const link = simLink({ clock, random: () => 0.5, latencyMs: 5 });
  const fabric = new Fabric([link.left, link.right], { clock, random: () => 0.5 });
  const opening = fabric.openAll();
  await clock.advance(1000);
  const [first, others] = await opening;
  const running = [first, ...others].map(writeOn);
  for (const flow of firstIsRead ? [first, ...others] : others) running.push(readOn(flow));
  // Longer than the first stream needs to fill its window.
  await clock.advance(4000);
  const stalled = first.from.stats();
  if (!firstIsRead) {
    assertEquals([stalled.bytesOut, stalled.pendingBytes], [INITIAL_WINDOW_BYTES, CHUNK.length]);
  }
  const before = others.map(({ to }) => to.stats().bytesIn);
  await clock.advance(1000);
  const moved = others.map(({ to }, index) => to.stats().bytesIn - (before[index] ?? 0));
  if (!firstIsRead) assertEquals(first.to.stats().bufferedBytes, INITIAL_WINDOW_BYTES);
  const ending = fabric[Symbol.asyncDispose]();
  await clock.advance(1000);
  await Promise.all([ending, ...running]);
  return moved;
}

Deno.test("MuxStream whose reader stops leaves each of 63 others 0.9 of its bytes in equal time of the link", async () => {
  const alone = await bytesBeside(true);
  const beside = await bytesBeside(false);
  assertEquals([alone.length, beside.length], [STREAMS - 1, STREAMS - 1]);
  for (const [index, bytes] of beside.entries()) {
    const usual = alone[index] ?? 0;
    assert(usual >= 4 * CHUNK.length, `The link is too slow to tell: ${usual} bytes`);
    assert(bytes >= LEAST_SHARE * usual, `Stream ${index} moved ${bytes} bytes, usually ${usual}`);
  }
});

Deno.test("MuxStream whose reader stops holds its sender within the window, and memory stays flat", async () => {
  await using fabric = new Fabric(await tcpTransports());
  const [stalled, others] = await fabric.openAll();
  let written = 0;
  const total = 1 << 20;
  const writing = (async () => {
    for (; written < total; written += CHUNK.length) await stalled.from.write(CHUNK);
  })();
  writing.catch(() => {});
  await until(
    "the window is full",
    () => stalled.to.stats().bufferedBytes === INITIAL_WINDOW_BYTES,
  );
  for (let round = 0; round < 6; round++) {
    await moveBytes(others, INITIAL_WINDOW_BYTES);
    const { bytesOut, pendingBytes } = stalled.from.stats();
    assertEquals([written, bytesOut, pendingBytes], [
      INITIAL_WINDOW_BYTES,
      INITIAL_WINDOW_BYTES,
      CHUNK.length,
    ]);
    assertEquals(fabric.server.stats().bufferedBytes, INITIAL_WINDOW_BYTES);
    assertEquals(fabric.client.stats().bufferedBytes, 0);
    assertEquals(
      others.map(({ from }) => from.stats().pendingBytes).filter((bytes) => bytes > 0),
      [],
    );
  }
  await readBytes(stalled, total);
  await writing;
  assertEquals([written, fabric.server.stats().bufferedBytes], [total, 0]);
});

/**
 * Milliseconds in which 63 streams move their bytes over TCP, beside one more that is read before
 * or after that.
 */
async function msBeside(
  fabric: Fabric,
  others: readonly Flow[],
  firstIsRead: boolean,
): Promise<number> {
  const first = await fabric.open();
  const beyond = INITIAL_WINDOW_BYTES + CHUNK.length;
  const writing = writeBytes(first, beyond);
  writing.catch(() => {});
  await until("the window is full", () => first.to.stats().bufferedBytes === INITIAL_WINDOW_BYTES);
  if (firstIsRead) await readBytes(first, beyond);
  const start = performance.now();
  await moveBytes(others, 4 * CHUNK.length);
  const ms = performance.now() - start;
  assertEquals(first.from.stats().pendingBytes, firstIsRead ? 0 : CHUNK.length);
  if (!firstIsRead) await readBytes(first, beyond);
  await writing;
  await Promise.all([first.from.closeWrite(), first.to.closeWrite()]);
  assertEquals([await first.from.closed, await first.to.closed], [undefined, undefined]);
  return ms;
}

Deno.test("MuxStream whose reader stops leaves 63 others 0.9 of their rate over TCP", async () => {
  await using fabric = new Fabric(await tcpTransports());
  const [, others] = await fabric.openAll();
  const shares: number[] = [];
  // What other programs take away falls on either of a pair alike: some row of pairs soon tells the
  // truth, which a stalled stream that held up the others would never let come near to this.
  for (let pair = 0; pair < 200; pair++) {
    const usualMs = await msBeside(fabric, others, true);
    shares.push(usualMs / await msBeside(fabric, others, false));
    if (shares.length >= ROW_OF_PAIRS && median(shares.slice(-ROW_OF_PAIRS)) >= LEAST_SHARE) return;
  }
  fail(
    `The others kept ${
      median(shares).toFixed(2)
    } of their rate, in the middle of ${shares.length} pairs`,
  );
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** Everything that can wait on a session, begun on 64 streams. */
async function waitOnAll(fabric: Fabric): Promise<Promise<unknown>[]> {
  const [first, others] = await fabric.openAll();
  const waits: Promise<unknown>[] = [];
  for (const { from } of [first, ...others]) {
    waits.push(
      from.write(new Uint8Array(2 * INITIAL_WINDOW_BYTES)),
      from.closeWrite(),
      from.read(),
    );
  }
  // The peer accepts none of these, so the last one waits for its turn.
  for (let count = 0; count < 256; count++) await fabric.client.openStream();
  waits.push(fabric.client.openStream(), fabric.client.acceptStream());
  return waits;
}

const KILLS: [string, (fabric: Fabric, transports: [Transport, Transport]) => void, string][] = [
  ["is aborted on this side", ({ client }) => client.abort(), "ERR_CLOSED"],
  ["is aborted by the peer", ({ server }) => server.abort(), "ERR_RESET"],
  ["loses its socket to the peer's end", (_, [, far]) => far.close(), "ERR_RESET"],
];

for (const [how, kill, code] of KILLS) {
  Deno.test(`MuxSession that ${how} settles every pending promise of 64 streams within a second`, async () => {
    const transports = await tcpTransports();
    await using fabric = new Fabric(transports, { maxStreams: 512, maxBacklog: 512 });
    const waits = await waitOnAll(fabric);
    await until("all windows are full", () => {
      return fabric.server.stats().bufferedBytes === STREAMS * INITIAL_WINDOW_BYTES;
    });
    let settled = 0;
    for (const wait of waits) wait.then(() => settled++, () => settled++);
    assertEquals(await fabric.client.ping() >= 0, true);
    assertEquals(settled, 0);
    waits.push(fabric.client.ping());
    kill(fabric, transports);
    const results = await settles("everything that waits", Promise.allSettled(waits), SETTLE_MS);
    await settles("the end of the session", fabric.client.closed, SETTLE_MS);
    const codes = new Set<string>();
    for (const result of results) {
      if (result.status === "fulfilled") codes.add(String(result.value));
      else {codes.add(
          result.reason instanceof ParleyError ? result.reason.code : String(result.reason),
        );}
    }
    // acceptStream returns null at the end.
    assertEquals([...codes].sort(), [code, "null"]);
    assertEquals(waits.length, 3 * STREAMS + 3);
    assertEquals(fabric.client.stats().bufferedBytes, 0);
  });
}
