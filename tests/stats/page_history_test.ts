// The statistics page's histories and details: what is kept of an hour and a day, and of what snapshots know.
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { type HistoryReport, type ServerStats, serveStats } from "@parley/parley/stats";
import { DurationHistogram } from "../../stats/data/duration_histogram.ts";
import { detailsOf } from "../../stats/page/details.ts";
import { Rollup } from "../../stats/page/rollup.ts";
import { ROW_NAMES, SourceTrack } from "../../stats/page/track.ts";
import { UPLOT_SCRIPT } from "../../stats/page/uplot.ts";
import { started } from "../support/peers/servers.ts";

Deno.test("Rollup joins the samples of a step to one row: means by time, highest and last values, and gaps", () => {
  const columns = [
    { name: "rate", fold: "mean" },
    { name: "most", fold: "max" },
    { name: "late", fold: "last" },
  ] as const;
  const rollup = new Rollup({ stepMs: 10_000, maxRows: 2, columns });
  rollup.add(1000, 0, [0, 5, 1]);
  rollup.add(2000, 1000, [10, 9, 2]);
  rollup.add(5000, 3000, [2, 7, NaN]);
  assertEquals(rollup.rows, [], "the step is not over");
  rollup.add(10_000, 5000, [NaN, NaN, NaN]);
  assertEquals(rollup.rows, [[5000, 4, 9, 2]]);
  rollup.add(35_000, 5000, [1 / 3, 1, 1]);
  assertEquals(JSON.stringify(rollup.rows[1]), "[10000,null,null,null]");
  rollup.add(40_000, 5000, [1, 1, 1]);
  assertEquals(rollup.rows.map(([atMs]) => atMs), [10_000, 35_000], "the last two rows are kept");
  assertEquals(rollup.rows[1], [35_000, 0.333, 1, 1]);
  // A clock that is set back begins another step.
  assert(rollup.begins(20_000));
});

Deno.test("SourceTrack keeps an hour and a day, with the peaks of each step and its own request times", async () => {
  await using test = await started();
  const requests = new DurationHistogram();
  let bytesIn = 0;
  const source = {
    stats(): ServerStats {
      const stats = test.server.stats();
      return {
        ...stats,
        overall: { ...stats.overall, bytesIn },
        requests: requests.stats(),
      } as ServerStats;
    },
  };
  const track = new SourceTrack("orders", source);
  const start = 1_800_000_000_000;
  for (let second = 0; second <= 4000; second++) {
    bytesIn += second % 10 === 5 ? 1000 : 100;
    for (let count = 0; count < 9; count++) requests.add(second < 30 ? 800 : 2);
    track.stats = source.stats();
    track.sample(start + 1000 * second, 1000 * second);
  }
  const [hour, day] = [track.rows("hour"), track.rows("day")];
  assertEquals([hour.length, day.length], [360, 66]);
  const column = (name: string) => ROW_NAMES.indexOf(name);
  const last = hour.at(-1)!;
  assertEquals([last.length, last[0]], [ROW_NAMES.length, start + 3_999_000]);
  assertAlmostEquals(last[column("bytesIn")]!, 190, 1e-6);
  assertEquals(last[column("bytesInPeak")], 1000);
  assert(last[column("requestP99Ms")]! <= 2.5, "times of before the step count in it");
  assert(day[0]![column("requestP99Ms")]! > 500);
  const { history, requestP95Ms } = track.report({ maxLinks: 1, maxDays: 1, maxSamples: 5 });
  assertEquals(history.length, 5);
  assert(
    requestP95Ms !== null && requestP95Ms <= 2.5 && history[0]!.requestP50Ms! <= 2.5,
    `${requestP95Ms}`,
  );
});

Deno.test("serveStats() sends the last hour and day as rows of numbers, and the whole script of its plots", async () => {
  await using test = await started();
  await using page = serveStats({ orders: test.server });
  await page.ready;
  for (const [file, stepMs] of [["hour.json", 10_000], ["day.json", 60_000]] as const) {
    const report: HistoryReport = await (await fetch(page.url + file)).json();
    assertEquals([report.version, report.stepMs], [1, stepMs]);
    assertEquals(report.columns.source, [...ROW_NAMES]);
    assertEquals(report.columns.process[0], "atMs");
    assertEquals(report.sources.map(({ name }) => name), ["orders"]);
  }
  assertEquals(await (await fetch(`${page.url}uplot.js`)).text(), UPLOT_SCRIPT);
});

Deno.test("UPLOT_SCRIPT is a release of uPlot unchanged, after its licence, and asks for nothing from elsewhere", async () => {
  const [licence, script] = UPLOT_SCRIPT.split("*/\n/*! ");
  assert(
    licence!.includes("The MIT License (MIT)") &&
      licence!.includes("Copyright (c) 2022 Leon Sorokin"),
  );
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`/*! ${script}`));
  assertEquals(
    new Uint8Array(hash).toHex(),
    "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
  );
  assert(new TextEncoder().encode(script).length < 50 * 1024, "It is too long");
  assert(!/fetch\(|XMLHttpRequest|import\(|sendBeacon|WebSocket|eval\(|new Function/.test(script!));
});

Deno.test("detailsOf() lists what a snapshot knows, the most bytes first, and bounds it", async () => {
  await using test = await started();
  const plain = test.server.stats();
  const { requests: _, recentErrors: __, ...bare } = plain as ServerStats & {
    requests?: unknown;
    recentErrors?: unknown;
  };
  assertEquals(detailsOf(bare as ServerStats, 5), {
    requests: null,
    recentErrors: [],
    calls: [],
    offers: [],
    trafficByName: [],
  });
  const names = Array.from({ length: 20 }, (_, index) => `name-${index}`);
  const rich = {
    ...bare,
    calls: names.map((name) => ({
      from: "a",
      to: "b",
      name,
      openedAtMs: 0,
      bytesFrom: 0,
      bytesTo: 0,
    })),
    trafficByName: names.map((name, index) => ({ name, streams: 1, bytesIn: index, bytesOut: 0 })),
    sessions: [{ identity: "idle", offers: [] }, { identity: "a", offers: names }],
  };
  const { calls, trafficByName, offers } = detailsOf(rich as never, 5);
  assertEquals([calls.length, trafficByName.map(({ bytesIn }) => bytesIn)], [5, [
    19,
    18,
    17,
    16,
    15,
  ]]);
  assertEquals(offers, [{ peer: "a", names: names.slice(0, 8), count: 20 }]);
});
