// Tests of what `parley top` draws.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { keysOf } from "../../../cli/commands/top/keys.ts";
import { readReport, type TopReport, withRates } from "../../../cli/commands/top/report.ts";
import {
  ageText,
  bytesText,
  SORT_KEYS,
  type TopModel,
  topText,
  topView,
} from "../../../cli/commands/top/view.ts";
import { columnsOf, cut } from "../../../cli/commands/top/width.ts";

const HOSTILE = "\x1b]0;owned\x07\r\n\u202e✓";

function link(id: string, bytes: number, more: Record<string, unknown> = {}) {
  return {
    id,
    peer: null,
    address: "127.0.0.1:1",
    state: "open",
    ageMs: 1000,
    bytesIn: bytes,
    bytesOut: bytes,
    queuedBytes: 0,
    streams: null,
    rttMs: null,
    ...more,
  };
}

function report(takenAtMs: number, links: readonly unknown[], bytesIn = 0): TopReport {
  const read = readReport({
    version: 1,
    title: "Test",
    takenAtMs,
    ready: true,
    process: { pid: 7, uptimeMs: 65_000, residentBytes: 5e7, eventLoopDelayMs: 1.4 },
    sources: [{
      name: "orders",
      kind: "server",
      state: "listening",
      address: "127.0.0.1:5555",
      linksNow: links.length,
      queuedBytes: 0,
      overall: { bytesIn, bytesOut: 0, messagesIn: bytesIn / 10, messagesOut: 0 },
      rates: {},
      history: [],
      errors: { handlerErrors: 2 },
      refusals: {},
      links,
    }],
  });
  assert(read !== null);
  return read;
}

function model(change: Partial<TopModel>): TopModel {
  return {
    url: "http://127.0.0.1:9100/stats.json",
    report: null,
    before: null,
    trouble: null,
    order: "rate",
    scrolled: 0,
    paused: false,
    ...change,
  };
}

Deno.test("topView() gives lines that fit, whatever the window and the texts of peers", () => {
  const links = Array.from(
    { length: 50 },
    (_, i) => link(`${i}`, i, { peer: `名前${HOSTILE}${"x".repeat(i)}` }),
  );
  for (const columns of [1, 10, 40, 80, 200]) {
    for (const rows of [1, 2, 5, 24, 100]) {
      const lines = topView(
        model({ report: report(1000, links), trouble: HOSTILE.slice(0, 0) || null }),
        {
          columns,
          rows,
        },
      );
      assertEquals(lines.length, rows);
      for (const line of lines) {
        assert(columnsOf(line) <= columns, `${columnsOf(line)} of ${columns}: ${line}`);
        assert(!/[\p{Cc}\u202e]/u.test(line), `Not escaped: ${JSON.stringify(line)}`);
      }
    }
  }
});

Deno.test("topView() sorts connections by what is asked, and scrolls", () => {
  const before = report(1000, [
    link("fast", 0),
    link("large", 1e6),
    link("late", 0),
    link("aged", 0),
  ]);
  const after = report(2000, [
    link("fast", 5000),
    link("large", 1e6),
    link("late", 0, { queuedBytes: 9000 }),
    link("aged", 0, { ageMs: 90_000 }),
  ]);
  const first = (change: Partial<TopModel>) => {
    const lines = topView(model({ report: after, before, ...change }), { columns: 132, rows: 20 });
    const title = lines.findIndex((line) => line.startsWith("SOURCE"));
    return lines[title + 1]!.split(/ +/)[1];
  };
  const found = Object.values(SORT_KEYS).map((order) => [order, first({ order })]);
  assertEquals(Object.fromEntries(found), {
    rate: "fast",
    bytes: "large",
    waiting: "late",
    age: "aged",
    name: "fast",
  });
  assertEquals(first({ order: "bytes", scrolled: 1 }), "fast");
  const text = topText(model({ report: after, before }));
  assertMatch(
    text,
    /^orders +fast +127\.0\.0\.1:1 +open +1s +5\.0 kB +5\.0 kB +0 B +5\.0 kB +5\.0 kB +- +-$/m,
  );
  assertMatch(text, /^server orders: listening on 127\.0\.0\.1:5555, 4 connections$/m);
  assertMatch(text, /^ {2}errors: handlerErrors 2$/m);
});

Deno.test("topView() tells what is wrong above what was known before", () => {
  const lines = topView(model({ report: report(1000, []), trouble: "no program answers there" }), {
    columns: 80,
    rows: 10,
  });
  assertEquals(lines[0], "! no program answers there");
  assertMatch(
    lines[1]!,
    /^Test · process 7 · up 1m05s · 50\.0 MB of memory · timers late by 1 ms · ready/,
  );
});

Deno.test("withRates() tells rates from two looks, and begins anew with another process", () => {
  const [first, second] = [report(1000, [], 0), report(3000, [], 5000)];
  const [source] = withRates(second, first).sources;
  assertEquals(source?.rates, { bytesIn: 2500, bytesOut: 0, messagesIn: 250, messagesOut: 0 });
  assertEquals(source?.history, [source!.rates]);
  const again = withRates(report(3000, [], 5000), withRates(second, first)).sources[0];
  assertEquals(
    [again?.rates, again?.history.length],
    [source!.rates, 1],
    "the same snapshot twice",
  );
  const restarted = withRates({ ...second, pid: 8 }, first).sources[0];
  assertEquals(restarted?.history, []);
});

Deno.test("readReport() refuses what is no report, and takes nothing for granted in one", () => {
  for (const value of [null, 5, "x", {}, { version: 2, sources: [] }, { version: 1 }]) {
    assertEquals(readReport(value), null);
  }
  const odd = readReport({
    version: 1,
    title: {},
    sources: [null, { name: 5, rates: "x", history: {}, links: [7] }],
  });
  assert(odd !== null);
  assertEquals(odd.sources.map(({ name, linksNow, links }) => [name, linksNow, links.length]), [[
    "",
    0,
    0,
  ], [
    "",
    0,
    1,
  ]]);
  topText(model({ report: odd }));
});

Deno.test("keysOf() knows keys from escape sequences", () => {
  assertEquals(keysOf("wq"), ["w", "q"]);
  assertEquals(keysOf("\x1b[A\x1b[B\x1b[5~\x1b[6~\x03"), [
    "up",
    "down",
    "page-up",
    "page-down",
    "ctrl-c",
  ]);
  assertEquals(keysOf("\x1b[1;5Cr\x00"), ["\x1b[1;5C", "r"]);
});

Deno.test("bytesText(), ageText() and cut() give short texts", () => {
  assertEquals([0, 999, 1000, 99_400, 999_600, 2.5e9].map(bytesText), [
    "0 B",
    "999 B",
    "1.0 kB",
    "99.4 kB",
    "1.0 MB",
    "2.5 GB",
  ]);
  assertEquals([0, 59_999, 192_000, 18_420_000, 1e9].map(ageText), [
    "0s",
    "59s",
    "3m12s",
    "5h07m",
    "11d",
  ]);
  assertEquals([cut("名前です", 5), cut("abc", 2), cut("abc", 9)], ["名前", "ab", "abc"]);
});

Deno.test("topView() shows names of peers whole at 60 columns; numbers give way", () => {
  const peers = [
    "warehouse-3.sensor-12345",
    "a",
    "one-with-a-name-of-fifty-characters-that-fits-60-ok",
  ];
  const links = peers.map((peer, i) => link(`${i}`, i, { peer }));
  const lines = topView(model({ report: report(1000, links) }), { columns: 60, rows: 24 });
  for (const peer of peers) {
    assert(lines.some((line) => line.includes(peer)), `${peer}\n${lines.join("\n")}`);
  }
  const wide = topView(model({ report: report(1000, links) }), { columns: 200, rows: 24 }).join(
    "\n",
  );
  assertMatch(wide, /SOURCE.*PEER.*ADDRESS.*STATE.*AGE.*RTT/);
  const cutOff = topView(
    model({ report: report(1000, [link("1", 1, { peer: "x".repeat(70) })]) }),
    {
      columns: 60,
      rows: 24,
    },
  );
  assert(cutOff.includes("x".repeat(59) + "…"), cutOff.join("\n"));
});

Deno.test("topView() and topText() show latency of requests since the last look, and recent errors", () => {
  const source = (counts: number[], errors: number) => ({
    requests: {
      count: counts[0]! + counts[1]!,
      sumMs: 0,
      boundsMs: [2, 200],
      counts: [...counts, 0],
    },
    recentErrors: Array.from({ length: errors }, (_, i) => ({
      atMs: 0,
      phase: "handshake",
      code: "ERR_AUTH",
      text: `no ${i} ${HOSTILE}`,
      peer: i === 0 ? null : `10.0.0.${i}`,
      count: i + 1,
    })),
  });
  const before = reportWith(1000, source([100, 0], 0));
  const after = withRates(reportWith(2000, source([100, 50], 5)), before);
  const lines = topView(model({ report: after, before }), { columns: 120, rows: 40 });
  assertMatch(lines.join("\n"), /requests took 101 ms \(p50\), 190 ms \(p95\), 198 ms \(p99\)/);
  const errors = lines.filter((line) => line.includes("ERR_AUTH"));
  assertEquals(errors.length, 3, "the newest first, and no more");
  assertMatch(errors[0]!, /handshake 10\.0\.0\.4 ERR_AUTH \(5 times\): no 4 \\x1b/);
  assertEquals(topText(model({ report: after })).match(/ERR_AUTH/g)?.length, 5);
  assertEquals(after.sources[0]!.recentErrors[0]!.peer, "");
});

function reportWith(takenAtMs: number, source: Record<string, unknown>): TopReport {
  const process = { pid: 7, uptimeMs: 1, residentBytes: 1, eventLoopDelayMs: 1 };
  const read = readReport({
    version: 1,
    title: "T",
    takenAtMs,
    ready: true,
    process,
    sources: [source],
  });
  assert(read !== null);
  return read;
}
