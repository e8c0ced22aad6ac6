// Reports, rates, viewers and sums: the parts of the statistics page, without a page.
import { assert, assertEquals } from "@std/assert";
import type { ServerResponse } from "node:http";
import { Pool } from "@parley/parley/pool";
import type { PoolStats, ServerStats, SourceSnapshot } from "@parley/parley/stats";
import { LiveSum } from "../../../stats/data/live_sum.ts";
import { EventStreams } from "../../../stats/page/event_streams.ts";
import { Sampler } from "../../../stats/page/sampler.ts";
import { ratesOf } from "../../../stats/page/track.ts";
import { isReady, reportOf } from "../../../stats/export/report.ts";
import { ask, started } from "../../support/peers/servers.ts";
import { until } from "../../support/wait.ts";

/** A snapshot of a server after three connections, with more counted than there was. */
async function serverStats(changes: Partial<ServerStats["overall"]> = {}): Promise<ServerStats> {
  await using test = await started();
  const conns = await Promise.all([1, 2, 3].map(() => test.connect()));
  for (const [index, conn] of conns.entries()) await ask(conn, "x".repeat(10 * (index + 1)));
  const stats = test.server.stats();
  await Promise.all(conns.map((conn) => conn.close()));
  return { ...stats, overall: { ...stats.overall, ...changes } };
}

Deno.test("reportOf() tells errors and refusals apart, without those that there are none of", async () => {
  const stats = await serverStats({ handlerErrors: 2, framingErrors: 1, connectionsReplaced: 4 });
  const refusedBy = { ...stats.refusedBy, penalized: 5 };
  const report = reportOf("orders", { ...stats, refusedBy }, { maxLinks: 10 });
  assertEquals(report.errors, { handlerErrors: 2, framingErrors: 1 });
  assertEquals(report.refusals, { connectionsReplaced: 4, penalized: 5 });
  assertEquals([report.name, report.kind, report.ready, report.linksNow], [
    "orders",
    "server",
    true,
    3,
  ]);
  assertEquals(
    report.address,
    `127.0.0.1:${stats.address?.transport === "tcp" ? stats.address.port : 0}`,
  );
});

Deno.test("reportOf() lists the links with the most bytes when there are too many, or none at all", async () => {
  const stats = await serverStats();
  const listed = (maxLinks: number) =>
    reportOf("a", stats, { maxLinks }).links.map(({ bytesIn }) => bytesIn);
  assertEquals(listed(3).toSorted(), [11, 21, 31]);
  assertEquals([listed(2), listed(1), listed(0)], [[31, 21], [31], []]);
  assertEquals(reportOf("a", stats, { maxLinks: 0 }).linksNow, 3);
});

Deno.test("reportOf() tells of handshakes since the snapshot before alone", async () => {
  const stats = await serverStats();
  assert(reportOf("a", stats, { maxLinks: 0 }).handshakeP95Ms! > 0);
  assertEquals(reportOf("a", stats, { maxLinks: 0, before: stats }).handshakeP95Ms, null);
});

Deno.test("reportOf() sums a pool's backends", async () => {
  await using pool = new Pool({ backends: [{ name: "a", port: 1 }, { name: "b", port: 2 }] });
  const stats = structuredClone(pool.stats()) as PoolStats & {
    backends: { bytesIn: number; dials: number }[];
  };
  stats.backends[0]!.bytesIn = 5;
  stats.backends[1]!.bytesIn = 7;
  stats.backends[1]!.dials = 3;
  const { overall, links, linksNow, days } = reportOf("pool", stats, { maxLinks: 10 });
  assertEquals([overall["bytesIn"], overall["dials"], overall["acquires"]], [12, 3, 0]);
  assertEquals([links.map(({ id }) => id), linksNow, days], [["a", "b"], 2, []]);
  assert(!("weight" in overall) && !("takenAtMs" in overall) && !("idle" in overall));
});

Deno.test("isReady() is true of what listens, has its link or is open, and of nothing else", async () => {
  const stats = await serverStats();
  const of = (state: ServerStats["state"]) => isReady({ ...stats, state });
  assertEquals([of("created"), of("listening"), of("draining"), of("stopped")], [
    false,
    true,
    false,
    false,
  ]);
});

Deno.test("ratesOf() divides what was added by the time, and takes a new beginning for nothing", () => {
  const snapshot = (overall: Record<string, number>, errors: Record<string, number> = {}) =>
    ({ overall, errors, refusals: {} }) as unknown as SourceSnapshot;
  const before = snapshot({ bytesIn: 100, messagesIn: 10, connectionsOpened: 1 });
  const now = snapshot({ bytesIn: 1100, messagesIn: 15, connectionsOpened: 2 }, {
    handlerErrors: 4,
  });
  assertEquals(ratesOf(before, now, 2000), {
    bytesIn: 500,
    bytesOut: 0,
    messagesIn: 2.5,
    messagesOut: 0,
    opened: 0.5,
    failed: 2,
  });
  assertEquals(new Set(Object.values(ratesOf(now, before, 2000))), new Set([0]));
  assertEquals(new Set(Object.values(ratesOf(before, now, 0))), new Set([0]));
});

Deno.test("Sampler samples by itself, faster while it is watched, and stops", async () => {
  let asked = 0;
  const stats = await serverStats();
  const source = { stats: () => (asked++, stats) };
  let samples = 0;
  const sampler = new Sampler(new Map([["a", source]]), {
    intervalMs: 20,
    onSample: () => samples++,
  });
  try {
    sampler.watched = true;
    await until("there are some samples", () => samples >= 5);
    const size = { maxLinks: 1, maxDays: 1, maxSamples: 3 };
    const report = sampler.report("title", true, size);
    const [first] = report.sources;
    assertEquals([first?.links.length, first?.days.length, first?.history.length], [1, 1, 3]);
    assertEquals(
      report.process.history.map(({ atMs }) => atMs),
      first?.history.map(({ atMs }) => atMs),
    );
    const before = asked;
    sampler.refresh();
    assert(asked > before, "A request gets numbers of now");
    for (let i = 0; i < 1000; i++) sampler.refresh();
    assert(asked - before <= 100, "Each of a thousand requests counts anew");
  } finally {
    sampler.stop();
  }
  sampler.watched = false; // which must not start it again
});

Deno.test("EventStreams drops who is too far behind, and no one else", () => {
  const made = (writableLength: number) => {
    const log: string[] = [];
    const listeners = new Map<string, () => void>();
    const viewer = {
      writableLength,
      write: (text: string) => log.push(text),
      end: () => log.push("end"),
      on: (name: string, listener: () => void) => listeners.set(name, listener),
      destroy: () => {
        log.push("destroyed");
        listeners.get("close")!();
      },
    };
    return { viewer: viewer as unknown as ServerResponse, log };
  };
  let changes = 0;
  const streams = new EventStreams(2, () => changes++);
  const [quick, slow] = [made(0), made((1 << 20) + 1)];
  streams.add(quick.viewer, "{}");
  streams.add(slow.viewer, "{}");
  assertEquals([streams.full, changes], [true, 2]);
  streams.send("sample", '{"a":1}');
  assertEquals(quick.log, [
    "retry: 2000\nevent: report\ndata: {}\n\n",
    'event: sample\ndata: {"a":1}\n\n',
  ]);
  assertEquals(slow.log.at(-1), "destroyed");
  assertEquals([streams.size, streams.full, changes], [1, false, 3]);
  streams.end();
  assertEquals(quick.log.at(-1), "end");
});

Deno.test("LiveSum keeps what ended, asks what is live, and takes an end once", () => {
  const sum = new LiveSum(() => ({ bytes: 0, frames: 0 }));
  const counters = [{ bytes: 1, frames: 2 }, { bytes: 10, frames: 20 }];
  const ends = counters.map((own) => sum.add(() => own));
  assertEquals(sum.total(), { bytes: 11, frames: 22 });
  ends[0]!();
  ends[0]!();
  counters[1]!.bytes = 100;
  assertEquals(sum.total(), { bytes: 101, frames: 22 });
});
