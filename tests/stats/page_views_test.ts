// What the statistics page shows beside its plots, in a real browser: tables that sort and find,
// errors, calls, ranges.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type ServerStats, serveStats, type WireStats } from "@parley/parley/stats";
import { DurationHistogram } from "../../stats/data/duration_histogram.ts";
import {
  Browser,
  type BrowserPage,
  DESKTOP,
  noBrowser,
  PHONE,
} from "../support/programs/browser.ts";
import { started } from "../support/peers/servers.ts";
import { hubbed } from "../support/peers/wires.ts";
import { until } from "../support/wait.ts";

const HOSTILE = "<img src=x onerror=hacked=1>\u202e";

/** Texts of the cells of a table, row by row. */
function rows(view: BrowserPage, selector: string): Promise<string[][]> {
  return view.evaluate(
    `[...document.querySelectorAll(${JSON.stringify(`${selector} tbody tr`)})]` +
      `.map((row) => [...row.cells].map((cell) => cell.textContent))`,
  );
}

async function checkLinks(view: BrowserPage): Promise<void> {
  const column = async (index: number) =>
    (await rows(view, "#source-0 .links")).map((row) => row[index]);
  const sort = (index: number) =>
    view.evaluate(`document.querySelectorAll("#source-0 .links th button")[${index}].click()`);
  const sorted = (index: number) =>
    view.evaluate(
      `document.querySelectorAll("#source-0 .links thead th")[${index}].getAttribute("aria-sort")`,
    );
  const count = () =>
    view.evaluate("document.querySelector('#source-0 .links output').textContent");
  assertEquals(
    await column(3),
    ["4.00 kB", "3.00 kB", "2.00 kB", "1.00 kB"],
    "the most bytes first",
  );
  assertEquals([await sorted(3), await sorted(0)], ["descending", null]);
  await sort(3);
  assertEquals([await column(3), await sorted(3)], [
    ["1.00 kB", "2.00 kB", "3.00 kB", "4.00 kB"],
    "ascending",
  ]);
  await sort(0);
  assertEquals((await column(0)).map((text) => text?.slice(0, 11)), [
    "127.0.0.1:1",
    "127.0.0.1:2",
    "127.0.0.1:3",
    `${"x".repeat(11)}`,
  ]);
  assertEquals([await sorted(3), await sorted(0)], [null, "ascending"]);
  assertEquals(await count(), "4 of 4");
  await view.evaluate(`(() => {
    const input = document.querySelector("#source-0 .find input");
    input.value = " 127.0.0.1:2";
    input.dispatchEvent(new Event("input"));
  })()`);
  assertEquals([await column(0), await count()], [["127.0.0.1:2"], "1 of 4"]);
  // What was chosen stays when the next sample comes.
  const age = (await rows(view, "#source-0 .links"))[0]![2];
  await view.until(
    `document.querySelector("#source-0 .links tbody td:nth-child(3)").textContent !== ${
      JSON.stringify(age)
    }`,
  );
  assertEquals([await column(0), await count()], [["127.0.0.1:2"], "1 of 4"]);
  // Where there is no room, the first column stays in sight and is cut.
  await view.resize(PHONE);
  await view.until(`innerWidth === ${PHONE.width}`);
  await view.evaluate(`(() => {
    const input = document.querySelector("#source-0 .find input");
    input.value = "";
    input.dispatchEvent(new Event("input"));
    document.querySelector("#source-0 .links .scroll").scrollLeft = 1e6;
  })()`);
  const [left, width, title] = await view.evaluate<[number, number, string]>(`(() => {
    const cell = [...document.querySelectorAll("#source-0 .links tbody th")].at(-1);
    const region = cell.closest(".scroll").getBoundingClientRect();
    return [cell.getBoundingClientRect().left - region.left, cell.offsetWidth, cell.title];
  })()`);
  assert(Math.abs(left) <= 1, `The first column moved away: ${left}`);
  assert(width <= 160, `The first column is ${width} px wide`);
  assertMatch(title, /^x{79}…$/);
  await view.resize(DESKTOP);
}

async function checkDetails(view: BrowserPage): Promise<void> {
  const [newest, oldest] = await rows(view, "#source-0 .recent");
  assertMatch(newest!.shift()!, /^\d\d:\d\d:\d\d$/);
  assertEquals(newest, [`127.0.0.1:2`, "connection", "ERR_FRAME_TOO_LARGE", "3", "Too large"]);
  assertEquals(oldest!.slice(1), [
    "–",
    "handler",
    "TypeError",
    "1",
    "<img src=x onerror=hacked=1>\\u{202e}",
  ]);
  assertEquals((await rows(view, "#source-0 .requests")).map((row) => row.slice(0, 3)), [
    ["2.5 ms", "3", "75.0 %"],
    ["5 ms", "0", "0.0 %"],
    ["10 ms", "1", "25.0 %"],
  ]);
  assertEquals(await rows(view, "#source-1 .calls"), [
    ["north", "<img src=x onerror=hacked=1>\\u{202e}", "chat-17", "0.0 ms", "5.00 kB", "7 B"],
  ]);
  assertEquals(await rows(view, "#source-1 .traffic"), [
    ["chat-17", "2", "9 B", "1 B"],
    ["(other)", "1", "0 B", "0 B"],
  ]);
  assertEquals((await rows(view, "#source-1 .offers"))[0], [
    "north",
    "n0, n1, n2, n3, n4, n5, n6, n7 and 2 more",
  ]);
  assertEquals(
    await view.evaluate("[document.querySelector('#source-0 .wire').hidden, typeof hacked]"),
    [
      true,
      "undefined",
    ],
  );
  const overview = await rows(view, "#overview");
  assertEquals(overview.map((row) => row.slice(0, 4)), [
    ["orders", "server", "listening", "4"],
    ["centre", "wire hub", "listening", "1"],
  ]);
  const titles = await view.evaluate<string[]>(
    "[...document.querySelectorAll('.plot-name')].map((name) => name.closest('.card').id + ' ' + name.textContent)",
  );
  assertEquals(titles.filter((title) => /event-loop/i.test(title)), ["process Event-loop delay"]);
}

async function checkRanges(view: BrowserPage): Promise<void> {
  const label = "document.querySelector('#source-0 .canvas').getAttribute('aria-label')";
  for (const [value, words] of [["hour", "hour"], ["day", "day"], ["minute", "minute"]]) {
    await view.evaluate(`document.querySelector("input[value=${value}]").click()`);
    await view.until(`${label}.startsWith("Throughput over the last ${words}:")`);
    if (value === "minute") continue;
    const asksFor = (url: string) => new URL(url).pathname === `/${value}.json`;
    await until(`the page asks for the ${value}`, () => view.requests.some(asksFor));
  }
}

Deno.test({
  name:
    "the statistics page sorts, finds, shows errors, requests and calls, and the range that is chosen" +
    noBrowser,
  ignore: noBrowser !== "",
  async fn() {
    await using test = await started();
    const conn = await test.connect();
    await using wires = await hubbed();
    await wires.join("north");
    const requests = new DurationHistogram();
    for (const ms of [2, 2, 2, 8]) requests.add(ms);
    const atMs = Date.now();
    const recentErrors = [
      { atMs, phase: "handler", code: "TypeError", text: HOSTILE, peer: null, count: 1 },
      {
        atMs,
        phase: "connection",
        code: "ERR_FRAME_TOO_LARGE",
        text: "Too large",
        peer: "127.0.0.1:2",
        count: 3,
      },
    ];
    const server = {
      stats(): ServerStats {
        const stats = test.server.stats();
        const [link] = stats.connections;
        const connections = ["x".repeat(100), "127.0.0.1", "127.0.0.1", "127.0.0.1"].map((
          hostname,
          index,
        ) => ({
          ...link!,
          bytesIn: [2000, 1000, 4000, 3000][index]!,
          remoteAddr: { transport: "tcp" as const, hostname, port: index },
        }));
        return { ...stats, connections, requests: requests.stats(), recentErrors } as ServerStats;
      },
    };
    const centre = {
      stats(): WireStats {
        const stats = wires.server.stats();
        const sessions = stats.sessions.map((session) => ({
          ...session,
          offers: Array.from({ length: 10 }, (_, index) => `n${index}`),
        }));
        const call = { from: "north", to: HOSTILE, name: "chat-17" };
        return {
          ...stats,
          sessions,
          calls: [{ ...call, openedAtMs: Date.now() + 1e6, bytesFrom: 5000, bytesTo: 7 }],
          trafficByName: [{ name: "(other)", streams: 1, bytesIn: 0, bytesOut: 0 }, {
            name: "chat-17",
            streams: 2,
            bytesIn: 9,
            bytesOut: 1,
          }],
        } as WireStats;
      },
    };
    await using page = serveStats({ orders: server, centre }, { intervalMs: 100 });
    await page.ready;
    await using browser = await Browser.start();
    const view = await browser.open(page.url);
    await view.until("document.querySelectorAll('#source-0 .links tbody tr').length === 4");
    await checkLinks(view);
    await checkDetails(view);
    await checkRanges(view);
    assertEquals(view.complaints, []);
    assertEquals(view.requests.filter((url) => !url.startsWith(page.url)), []);
    await conn.close();
  },
});
