// serveStats(): what each path returns, to whom, and the end.
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Client, serve } from "@parley/parley";
import { listenIpc } from "@parley/parley/ipc";
import { Pool } from "@parley/parley/pool";
import {
  serveStats,
  type ServeStatsOptions,
  type StatsPage,
  type StatsReport,
} from "@parley/parley/stats";
import { Channel } from "../ipc/channels.ts";
import { ask, codeOf, errorOf, started } from "../support/peers/servers.ts";
import { Program } from "../support/programs/program.ts";
import { parseOpenMetrics } from "../support/openmetrics_parser.ts";
import { openDescriptors, settles, until } from "../support/wait.ts";
import { hubbed } from "../support/peers/wires.ts";
import { portOf, RawHttp } from "./raw_http.ts";

const why = await new Deno.Command("promtool", { args: ["--version"], stdin: "null" }).output()
  .then(
    ({ success }) => success ? "" : " (ignored: promtool does not run)",
    () => " (ignored: promtool is missing)",
  );

/** A page over one idle server, ready. */
async function paged(options: ServeStatsOptions = {}) {
  const test = await started();
  const page = serveStats({ orders: test.server }, options);
  await page.ready;
  return {
    page,
    test,
    async [Symbol.asyncDispose](): Promise<void> {
      await page.shutdown();
      await test[Symbol.asyncDispose]();
    },
  };
}

/** What a path returns. */
async function get(page: StatsPage, path: string, init: RequestInit = {}) {
  const response = await fetch(page.url + path, init);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** What the page sends to machines. */
async function report(page: StatsPage): Promise<StatsReport> {
  return JSON.parse((await get(page, "stats.json")).text);
}

Deno.test("serveStats() tells in /stats.json and /metrics what clients counted", async () => {
  await using served = await paged();
  const { page, test } = served;
  const conns = await Promise.all(Array.from({ length: 5 }, () => test.connect()));
  await Promise.all(conns.map(async (conn) => {
    for (let i = 0; i < 20; i++) await ask(conn, "hello");
  }));
  const sent = conns.reduce((sum, conn) => sum + conn.stats().bytesOut, 0);
  const [source] = (await report(page)).sources;
  assertEquals([source?.name, source?.kind, source?.state], ["orders", "server", "listening"]);
  assertEquals([source?.overall["messagesIn"], source?.overall["bytesIn"], source?.linksNow], [
    100,
    sent,
    5,
  ]);
  assertEquals(source?.links.map(({ bytesIn }) => bytesIn), Array(5).fill(sent / 5));
  assertEquals(source?.days.at(-1)?.counters["messagesIn"], 100);
  const metrics = await get(page, "metrics", {
    headers: { accept: "application/openmetrics-text" },
  });
  assertEquals(
    metrics.headers.get("content-type"),
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
  );
  const families = parseOpenMetrics(metrics.text);
  const value = (name: string) => families.get(name)?.samples[0]?.value;
  assertEquals(value("parley_received_messages"), 100);
  assertEquals(value("parley_received_bytes"), sent);
  assertEquals(value("parley_connections"), 5);
  await Promise.all(conns.map((conn) => conn.close()));
});

Deno.test({
  name: "serveStats() gives /metrics that promtool accepts, for every kind of source" + why,
  ignore: why !== "",
  async fn() {
    await using served = await paged();
    await using channel = new Channel();
    await using ipc = await listenIpc(channel.options);
    await using wires = await hubbed();
    const wire = await wires.join("ann");
    await wires.server.session("ann")!.ping();
    await using client = new Client({ ...served.test.server.addr });
    await using pool = new Pool({ backends: [served.test.server.addr] });
    await client.ready;
    const name = 'quote " backslash \\ line\nfeed ☃';
    const sources = { server: served.test.server, [name]: wires.server, wire, ipc, client, pool };
    await using page = serveStats(sources);
    await page.ready;
    const { headers, text } = await get(page, "metrics");
    assertEquals(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    const child = new Deno.Command("promtool", {
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    assertEquals([code, new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)], [
      0,
      "",
      "",
    ]);
    const { sources: reports } = await report(page);
    assertEquals(reports.map(({ kind, ready }) => [kind, ready]), [
      ["server", true],
      ["wire", true],
      ["wire", true],
      ["ipc", true],
      ["client", true],
      ["pool", true],
    ]);
    assert(reports[1]!.rttMaxMs! >= 0);
  },
});

Deno.test("serveStats() sends headers that keep everything else out, with every answer", async () => {
  await using served = await paged();
  for (
    const path of [
      "",
      "page.js",
      "uplot.js",
      "page.css",
      "icon.svg",
      "stats.json",
      "hour.json",
      "day.json",
      "metrics",
      "healthz",
      "readyz",
      "nothing",
    ]
  ) {
    const { status, headers, text } = await get(served.page, path);
    assertEquals(status, path === "nothing" ? 404 : 200, path);
    const policy = headers.get("content-security-policy")!;
    assertMatch(policy, /^default-src 'none'; script-src 'self'; style-src 'self'/);
    assert(!policy.includes("unsafe"));
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("cache-control"), "no-store");
    assertEquals(headers.get("access-control-allow-origin"), null);
    assertEquals(headers.get("set-cookie"), null);
    assert(text.length > 0);
  }
  const { text } = await get(served.page, "");
  assert(!/<style|style=|\son\w+=|<script>/i.test(text), "something inline");
  assert(!/https?:|\/\//.test(text.replace(/<!doctype html>/, "")), "something from elsewhere");
});

Deno.test("serveStats() refuses other methods and other names, and ends such connections", async () => {
  await using served = await paged({ allowedHosts: ["metrics.internal"] });
  const { page } = served;
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"]) {
    const answer = await RawHttp.ask(
      page,
      `${method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n`,
    );
    assertMatch(answer, method === "BREW" ? /^HTTP\/1\.1 40[05] / : /^HTTP\/1\.1 405 /, method);
  }
  const hosts: [host: string, status: number][] = [
    ["127.0.0.1", 200],
    [`localhost:${portOf(page)}`, 200],
    ["metrics.internal", 200],
    ["METRICS.internal:9100", 200],
    ["evil.example", 421],
    [`evil.example:${portOf(page)}`, 421],
    ["127.0.0.1.evil.example", 421],
    ["localhost@evil.example", 421],
    ["", 421],
  ];
  for (const [host, status] of hosts) {
    const answer = await RawHttp.ask(
      page,
      `GET /stats.json HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    );
    assertEquals(Number(answer.split(" ", 2)[1]), status, host);
    assertEquals(answer.includes("orders"), status === 200, host);
  }
  assertMatch(await RawHttp.ask(page, "GET / HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 421 /);
  const elsewhere =
    "GET http://evil.example/stats.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  assertMatch(await RawHttp.ask(page, elsewhere), /^HTTP\/1\.1 421 /);
  const head = await RawHttp.ask(
    page,
    "HEAD /stats.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
  );
  assertMatch(head, /^HTTP\/1\.1 200 [^]*\r\n\r\n$/);
});

Deno.test("serveStats() is not ready while the server drains, and once it has stopped", async () => {
  await using served = await paged();
  const { page, test } = served;
  assertEquals((await get(page, "readyz")).text, "ready\n");
  const release = Promise.withResolvers<void>();
  await using busy = await started({}, async () => await release.promise);
  await using both = serveStats([test.server, busy.server]);
  await both.ready;
  await using conn = await busy.connect();
  assertEquals((await get(both, "readyz")).status, 200);
  await until("its handler runs", () => busy.server.connections.size === 1);
  const drained = busy.server.shutdown();
  assertEquals(
    (await get(both, "readyz")).text,
    'not ready\n"server" is listening\n"server-2" is draining\n',
  );
  assertEquals((await get(both, "healthz")).status, 200);
  release.resolve();
  await conn.close();
  await drained;
  assert((await get(both, "readyz")).text.includes('"server-2" is stopped'));
});

Deno.test("serveStats() asks isReady where it is given", async () => {
  let ready = false;
  await using served = await paged({ isReady: () => ready });
  assertEquals((await get(served.page, "readyz")).status, 503);
  assertEquals((await report(served.page)).ready, false);
  ready = true;
  assertEquals((await get(served.page, "readyz")).status, 200);
});

Deno.test("serveStats() answers 500 without details when a source fails", async () => {
  await using test = await started();
  let broken = false;
  const source = {
    stats: () => {
      if (broken) throw new Error("a secret");
      return test.server.stats();
    },
  };
  await using page = serveStats(source, { intervalMs: 60_000 });
  await page.ready;
  assertEquals((await get(page, "healthz")).status, 200);
  broken = true;
  assertEquals((await get(page, "stats.json")).status, 500);
  assert(!(await get(page, "stats.json")).text.includes("secret"));
  assertEquals((await get(page, "healthz")).status, 200);
});

Deno.test("serveStats() outlives an isReady and a source that throw while somebody watches", async () => {
  await using test = await started();
  const [ready, source] = [{ broken: false, asked: 0 }, { broken: false, asked: 0 }];
  const tell = (part: { broken: boolean; asked: number }) => {
    part.asked++;
    if (part.broken) throw new Error("broken");
  };
  const options = { intervalMs: 100, isReady: () => (tell(ready), true) };
  await using page = serveStats({ stats: () => (tell(source), test.server.stats()) }, options);
  await page.ready;
  const { body } = await fetch(`${page.url}events`);
  const reading = body!.pipeTo(new WritableStream()).catch(() => {});
  for (const part of [ready, source]) {
    part.broken = true;
    const before = part.asked;
    await until("samples were taken meanwhile", () => part.asked > before + 1);
    if (part === ready) assertEquals((await get(page, "readyz")).status, 503);
    part.broken = false;
  }
  assertEquals((await get(page, "readyz")).status, 200);
  await page.shutdown();
  await reading;
});

Deno.test("serveStats() sends samples to a bounded number of viewers, and lets the next in when one leaves", async () => {
  await using served = await paged({ maxViewers: 2, intervalMs: 100 });
  const { page, test } = served;
  const watch = async () => {
    const response = await fetch(`${page.url}events`);
    return { status: response.status, events: response.body!.pipeThrough(new TextDecoderStream()) };
  };
  const [one, two] = [await watch(), await watch()];
  const three = await watch();
  assertEquals([one.status, two.status, three.status], [200, 200, 503]);
  await three.events.cancel();
  const conn = await test.connect();
  await ask(conn, "hello");
  let text = "";
  const seen = (async () => {
    for await (const chunk of one.events) {
      text += chunk;
      if (/event: sample\ndata: \{[^\n]*"messagesIn":1,/.test(text)) return; // which cancels it
    }
  })();
  await settles("a sample tells of the message", seen);
  assertMatch(text, /^retry: 2000\nevent: report\ndata: \{"version":1,[^\n]*\}\n\n/);
  await until("there is room again", async () => {
    const next = await watch();
    await next.events.cancel();
    return next.status === 200;
  });
  await two.events.cancel();
  await conn.close();
});

Deno.test("serveStats() closes by close(), by its signal and by await using, with viewers, and frees descriptors", async () => {
  await using test = await started();
  const before = openDescriptors();
  const controller = new AbortController();
  for (const end of [(page: StatsPage) => page.shutdown(), () => controller.abort()]) {
    const page = serveStats(test.server, { signal: controller.signal });
    await page.ready;
    const { body } = await fetch(`${page.url}events`);
    const reading = body!.pipeTo(new WritableStream()).catch(() => {});
    await end(page);
    await page.finished;
    await reading;
    await assertRejects(() => fetch(page.url));
  }
  await until("the descriptors are back", () => openDescriptors() <= before);
  const early = serveStats(test.server);
  const closed = early.shutdown();
  await early.ready;
  await closed;
  await assertRejects(() => fetch(early.url));
  const late = serveStats(test.server, { signal: controller.signal });
  await assertRejects(() => late.ready, DOMException);
  await late.finished;
});

Deno.test("serveStats() tells where it listens, or why it cannot", async () => {
  await using served = await paged();
  const { page, test } = served;
  assertEquals(page.url, `http://127.0.0.1:${portOf(page)}/`);
  const second = serveStats(test.server, { port: portOf(page) });
  assertEquals(codeOf(await errorOf(second.ready)), "ERR_ADDRESS_IN_USE");
  await second.finished;
  assertThrows(() => second.addr);
});

Deno.test("serveStats() refuses options that are wrong, before it listens", async () => {
  await using test = await started();
  const wrong: [options: object, error: new () => Error][] = [
    [{ port: 65_536 }, RangeError],
    [{ port: "80" }, TypeError],
    [{ hostname: "" }, TypeError],
    [{ title: 5 }, TypeError],
    [{ allowedHosts: "x" }, TypeError],
    [{ allowedHosts: [""] }, TypeError],
    [{ maxViewers: 0 }, RangeError],
    [{ maxConnections: 0 }, RangeError],
    [{ requestTimeoutMs: 5 }, RangeError],
    [{ intervalMs: 50 }, RangeError],
    [{ maxListed: -1 }, RangeError],
    [{ isReady: true }, TypeError],
    [{ signal: {} }, TypeError],
  ];
  for (const [options, error] of wrong) assertThrows(() => serveStats(test.server, options), error);
  for (const sources of [[], {}, { a: {} }, [null], undefined]) {
    assertThrows(() => serveStats(sources as never), TypeError);
  }
});

Deno.test("serveStats() does not keep a process alive, even while somebody watches", async () => {
  await using program = new Program("tests/stats/unref_program.ts", [], { keepStdin: true });
  const port = await program.port();
  const { body } = await fetch(`http://127.0.0.1:${port}/events`);
  const reading = body!.pipeTo(new WritableStream()).catch(() => {});
  await program.type("go\n");
  assertEquals((await settles("it ends", program.finish())).code, 0);
  await reading;
});

Deno.test("serveStats() lists the busiest connections when there are too many", async () => {
  await using test = await started();
  const conns = await Promise.all([1, 2, 3].map(() => test.connect()));
  await ask(conns[1]!, "x".repeat(100));
  await using page = serveStats(test.server, { maxListed: 1 });
  await page.ready;
  const [source] = (await report(page)).sources;
  assertEquals([source?.linksNow, source?.links.length], [3, 1]);
  assertEquals(source?.links[0]?.bytesIn, 101);
  await Promise.all(conns.map((conn) => conn.close()));
});

Deno.test("serveStats() shows a server that does not listen yet as not ready", async () => {
  const server = serve(() => {});
  await using page = serveStats(server);
  await page.ready;
  await server.ready;
  assertEquals((await get(page, "readyz")).status, 200);
  await server.shutdown();
});
