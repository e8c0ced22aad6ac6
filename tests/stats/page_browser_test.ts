// The statistics page in a real browser: what users see, and what no page can make it do.
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Connection, Server } from "@parley/parley";
import { serveStats, type StatsPage, type WireStats } from "@parley/parley/stats";
import {
  Browser,
  type BrowserPage,
  DESKTOP,
  noBrowser,
  PHONE,
} from "../support/programs/browser.ts";
import { ask, echo, started } from "../support/peers/servers.ts";
import { echoStream, hubbed } from "../support/peers/wires.ts";

/** Sends and waits for the answer, again and again, until it has to stop. */
class Load implements AsyncDisposable {
  readonly #running: Promise<void>[];
  #stopped = false;

  constructor(conns: readonly Connection[]) {
    this.#running = conns.map(async (conn) => {
      while (!this.#stopped && conn.status === "open") {
        await ask(conn, "x".repeat(200)).catch(() => {});
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }
}

const TITLE = `Orders "<b>&amp;'`;
const SOURCE = `<img src=x onerror="hacked=1">\u001b[31m"'\u202e\u0007`;
const PEER = `<script>hacked=1</script>"><img/src=x/onerror=hacked=1>`;

/** A tile's number, as the page shows it. */
const tile = (source: number, name: string) =>
  `[...document.querySelectorAll("#source-${source} .tiles div")]` +
  `.find((tile) => tile.firstChild.textContent === ${
    JSON.stringify(name)
  })?.lastChild.textContent ?? ""`;

/**
 * What the canvas of a plot shows: how many of its points have a colour of the style sheet, and at
 * how many heights.
 */
const drawn = (source: number, plot: string, colour: string) =>
  `(() => {
  const figure = [...document.querySelectorAll("#source-${source} .plot")]
    .find((figure) => figure.querySelector(".plot-name").textContent === ${JSON.stringify(plot)});
  const canvas = figure?.querySelector("canvas");
  if (!canvas) return { points: 0, heights: 0, shape: "" };
  const [, ...wanted] = getComputedStyle(document.documentElement).getPropertyValue("--${colour}").trim()
    .match(/^#(..)(..)(..)$/).map((part) => parseInt(part, 16));
  const { width, height } = canvas;
  const copy = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", {
    willReadFrequently: true,
  });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  const heights = new Set();
  let points = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] < 250 || wanted.some((value, index) => Math.abs(data[at + index] - value) > 24)) continue;
    points++;
    heights.add(Math.floor(at / 4 / width));
  }
  return { points, heights: heights.size, shape: canvas.toDataURL() };
})()`;

/** What {@linkcode drawn} finds. */
interface Drawn {
  readonly points: number;
  readonly heights: number;
  readonly shape: string;
}

/** Whether the text of every element can be read on what it stands on: the least contrast, by WCAG 2. */
const LEAST_CONTRAST = `(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  let least = { ratio: 21, text: "" };
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!own || element.closest("template, noscript, svg, [hidden]")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(channels(style.color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least.ratio) least = { ratio, text: element.textContent };
  }
  return least;
})()`;

async function tabThrough(view: BrowserPage, stops: number): Promise<string[]> {
  const names: string[] = [];
  for (let i = 0; i < stops; i++) {
    await view.press("Tab", 9);
    names.push(
      await view.evaluate<string>(
        `(() => {
        const { activeElement: at } = document;
        const seen = getComputedStyle(at).outlineStyle !== "none";
        return (seen ? "" : "UNSEEN ") + (at.getAttribute("aria-label") ?? at.textContent).trim();
      })()`,
      ),
    );
  }
  return names;
}

async function checkLive(view: BrowserPage, page: StatsPage): Promise<void> {
  await view.until(`Number((${tile(0, "Messages in")}).replace(/[^\\d.]/g, "")) > 0`);
  const first = await view.evaluate<string>(
    "document.querySelector('#source-0 .days td:nth-child(3)').textContent",
  );
  const before = await view.evaluate<Drawn>(drawn(0, "Throughput", "in"));
  await view.until(
    `document.querySelector('#source-0 .days td:nth-child(3)').textContent !== ${
      JSON.stringify(first)
    }`,
  );
  await view.until(`${drawn(0, "Throughput", "in")}.shape !== ${JSON.stringify(before.shape)}`);
  for (const plot of ["Throughput", "Messages"]) {
    // Lines of the same height on both sides of zero lie apart.
    for (const colour of ["in", "out"]) await view.until(`${drawn(0, plot, colour)}.points > 20`);
  }
  const { heights } = await view.evaluate<Drawn>(drawn(0, "Throughput", "in"));
  assert(heights > 1, "The line of the throughput is flat");
  assertEquals(
    await view.evaluate("document.querySelectorAll('#source-0 .links tbody tr').length"),
    3,
  );
  assertMatch(await view.evaluate<string>(tile(0, "Connections")), /^3$/);
  const { sources } = await (await fetch(`${page.url}stats.json`)).json();
  const shownAddress = await view.evaluate<string>(
    "document.querySelector('#source-0 .links tbody th').textContent",
  );
  assertEquals(shownAddress, sources[0].links[0].address);
}

async function checkHarmless(view: BrowserPage): Promise<void> {
  assertEquals(await view.evaluate("typeof hacked"), "undefined");
  assertEquals(
    await view.evaluate("document.querySelectorAll('main img, main script, h1 b').length"),
    0,
  );
  assertEquals(await view.evaluate("document.getElementById('title').textContent"), TITLE);
  const name = await view.evaluate<string>("document.querySelector('#source-1 h2').textContent");
  assertEquals(name, `<img src=x onerror="hacked=1">\\u{1b}[31m"'\\u{202e}\\u{7}`);
  const peers = await view.evaluate<string[]>(
    "[...document.querySelectorAll('#source-1 .links tbody th')].map((cell) => cell.textContent)",
  );
  assertEquals(peers, [PEER, "ESC\\u{1b}[2J"]);
}

async function checkAccessible(view: BrowserPage): Promise<void> {
  const nodes = await view.accessible();
  const named = (role: string) =>
    nodes.filter((node) => node.role === role).map(({ name }) => name);
  assertEquals(nodes[0]?.role, "RootWebArea");
  assertMatch(nodes[0]!.name, /statistics$/);
  for (
    const [role, count] of Object.entries({
      banner: 1,
      main: 1,
      contentinfo: 1,
      navigation: 1,
      radio: 4,
    })
  ) {
    assertEquals(named(role).length, count, role);
  }
  for (const name of [TITLE, "orders", "Process"]) assert(named("heading").includes(name), name);
  assertEquals(named("navigation"), ["For machines"]);
  assertEquals(named("radio"), ["1 min", "5 min", "1 h", "24 h"]);
  const tables = named("table");
  assert(
    tables.includes("Sources") && tables.includes("Connections") && tables.includes("Sessions") &&
      tables.includes("Day by day"),
    `${tables}`,
  );
  assert(named("columnheader").includes("Received") && named("rowheader").length >= 5);
  const images = named("image");
  assert(
    images.some((name) =>
      /^Throughput over the last 5 minutes: in [\d.]+ k?B\/s, at most/.test(name)
    ),
    `${images}`,
  );
  for (const role of ["image", "link", "region", "table", "columnheader"]) {
    assert(named(role).every((name) => name !== ""), `A nameless ${role}`);
  }
}

/** What the keyboard reaches, and what it reads there. */
async function checkKeyboard(view: BrowserPage): Promise<void> {
  assertEquals((await tabThrough(view, 7)).map((name) => name.replace(/:.*/, "")), [
    "Skip to the statistics",
    "",
    "Sources",
    "orders",
    await view.evaluate("document.querySelector('#source-1 h2').textContent"),
    "Throughput over the last 5 minutes",
    "Messages over the last 5 minutes",
  ]);
  await view.press("ArrowLeft", 37);
  await view.until(
    "/^\\d\\d:\\d\\d:\\d\\d · in /.test(document.querySelector('.readout:not([hidden])')?.textContent)",
  );
}

/** On large and small screens, by day and by night: nothing scrolls sideways, all can be read. */
async function checkLooks(view: BrowserPage): Promise<void> {
  for (const size of [DESKTOP, PHONE]) {
    for (const scheme of ["light", "dark"] as const) {
      await view.resize(size);
      await view.prefer(scheme);
      const { width } = size;
      await view.until(`innerWidth === ${width}`);
      assertEquals(
        await view.evaluate("document.documentElement.scrollWidth"),
        width,
        "It scrolls sideways",
      );
      const { ratio, text } = await view.evaluate<{ ratio: number; text: string }>(LEAST_CONTRAST);
      assert(ratio >= 4.5, `${scheme}: contrast ${ratio} of "${text}"`);
    }
  }
}

/** The page follows a drain to its end. */
async function checkDrain(view: BrowserPage, server: Server, release: () => void): Promise<void> {
  const drained = server.shutdown();
  await view.until("document.querySelector('#source-0 .lamp').textContent === 'draining'");
  assertEquals(
    await view.evaluate("document.getElementById('live').textContent"),
    "Live: orders is draining",
  );
  release();
  await drained;
  await view.until("document.querySelector('#source-0 .lamp').textContent === 'stopped'");
  assertEquals(await view.evaluate("document.getElementById('ready').textContent"), "Not ready");
  assertEquals(
    await view.evaluate("document.getElementById('live').textContent"),
    "Live: orders is stopped",
  );
}

/** The page says so when nothing answers any more. */
async function checkSilence(view: BrowserPage): Promise<void> {
  await view.until(
    "/^No answer since .*: trying again$/.test(document.getElementById('live').textContent)",
  );
  assert(
    Number(await view.evaluate("getComputedStyle(document.querySelector('main')).opacity")) < 1,
    "It is not dimmed",
  );
}

Deno.test({
  name:
    "the statistics page is live, draws, is accessible, stays at home and runs nothing of a peer's" +
    noBrowser,
  ignore: noBrowser !== "",
  async fn() {
    const release = Promise.withResolvers<void>();
    await using test = await started({}, async (conn) => {
      await echo(conn);
      await release.promise;
    });
    await using wires = await hubbed({ authorize: () => true });
    wires.server.handle("echo", echoStream);
    await wires.join(PEER);
    const hostile = {
      stats: (): WireStats => {
        const stats = wires.server.stats();
        const [session] = stats.sessions;
        return { ...stats, sessions: [session!, { ...session!, identity: "ESC\u001b[2J" }] };
      },
    };
    const conns = await Promise.all([1, 2, 3].map(() => test.connect()));
    await using page = serveStats({ orders: test.server, [SOURCE]: hostile }, {
      title: TITLE,
      intervalMs: 100,
    });
    await page.ready;
    await using browser = await Browser.start();
    const view = await browser.open(page.url);
    {
      await using _ = new Load(conns);
      await checkLive(view, page);
    }
    await checkHarmless(view);
    await checkAccessible(view);
    await checkKeyboard(view);
    await checkLooks(view);
    await checkDrain(view, test.server, release.resolve);
    assertEquals(view.complaints, []);
    assertEquals(view.requests.filter((url) => !url.startsWith(page.url)), []);
    await page.shutdown();
    await checkSilence(view);
    await Promise.all(conns.map((conn) => conn.close()));
  },
});
