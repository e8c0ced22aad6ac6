// serveStats() as an HTTP server: what RFC 9110 and 9112 ask for, and what proxies, balancers and
// scrapers rely on.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { serveStats } from "@parley/parley/stats";
import { started } from "../support/peers/servers.ts";
import { until } from "../support/wait.ts";
import { metricsFormat } from "../../stats/page/accept.ts";
import { targetOf } from "../../stats/page/request_target.ts";
import { portOf, RawHttp } from "./raw_http.ts";

/** A page over one idle server, and a way to ask it by hand. */
class AskedPage implements AsyncDisposable {
  readonly #test: Awaited<ReturnType<typeof started>>;
  readonly page: ReturnType<typeof serveStats>;

  private constructor(test: Awaited<ReturnType<typeof started>>) {
    this.#test = test;
    this.page = serveStats({ orders: test.server });
  }

  static async start(): Promise<AskedPage> {
    const asked = new AskedPage(await started());
    await asked.page.ready;
    return asked;
  }

  get ours(): string {
    return `127.0.0.1:${portOf(this.page)}`;
  }

  get server() {
    return this.#test.server;
  }

  /** Sends a request line and headers; returns the whole answer. */
  ask(line: string, ...headers: string[]): Promise<string> {
    const text = [line, ...headers, "Connection: close"].map((each) => `${each}\r\n`).join("");
    return RawHttp.ask(this.page, `${text}\r\n`);
  }

  async status(line: string, ...headers: string[]): Promise<number> {
    return Number((await this.ask(line, ...headers)).split(" ", 2)[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.shutdown();
    await this.#test[Symbol.asyncDispose]();
  }
}

Deno.test("serveStats() understands a whole URL in the request line, whose host is the one that counts", async () => {
  await using asked = await AskedPage.start();
  const { ours } = asked;
  const cases: [url: string, host: string, status: number][] = [
    [`http://${ours}/healthz`, ours, 200],
    [`HTTP://${ours}/healthz?probe=1`, ours, 200],
    [`https://${ours}/metrics`, ours, 200],
    [`http://${ours}`, ours, 200],
    [`http://${ours}?x`, ours, 200],
    [`http://${ours}/nothing`, ours, 404],
    [`http://${ours}/healthz`, "evil.example", 200],
    ["http://evil.example/healthz", "evil.example", 421],
    ["http://evil.example/healthz", ours, 421],
    [`http://${ours}@evil.example/stats.json`, ours, 421],
    [`http://evil.example#@${ours}/stats.json`, ours, 400],
    ["http:///stats.json", ours, 421],
    [`ftp://${ours}/healthz`, ours, 404],
  ];
  for (const [url, host, status] of cases) {
    assertEquals(
      await asked.status(`GET ${url} HTTP/1.1`, `Host: ${host}`),
      status,
      `${url} ${host}`,
    );
  }
});

Deno.test("serveStats() refuses two Host headers by 400, whichever comes first and whatever is asked for", async () => {
  await using asked = await AskedPage.start();
  const { ours } = asked;
  for (const [first, second] of [[ours, "evil.example"], ["evil.example", ours], [ours, ours]]) {
    for (const target of ["/healthz", "/stats.json", `http://${ours}/healthz`]) {
      const answer = await asked.ask(`GET ${target} HTTP/1.1`, `Host: ${first}`, `hOST: ${second}`);
      assertMatch(answer, /^HTTP\/1\.1 400 /, `${target} ${first} ${second}`);
    }
  }
});

Deno.test("serveStats() answers probes that name no host, and reports to them yes or no only", async () => {
  await using asked = await AskedPage.start();
  assertEquals(await asked.status("GET /healthz HTTP/1.0"), 200);
  assertEquals(await asked.status("HEAD /healthz HTTP/1.0"), 200);
  assertEquals(await asked.status("GET /readyz HTTP/1.0"), 200);
  for (
    const path of ["/", "/metrics", "/stats.json", "/events", "/page.js", "/nothing", "//healthz"]
  ) {
    assertEquals(await asked.status(`GET ${path} HTTP/1.0`), 421, path);
  }
  assertEquals(await asked.status("GET /healthz HTTP/1.0", "Host: evil.example"), 421);
  assertEquals(await asked.status("GET /healthz HTTP/1.0", "Host:"), 421);
  // HTTP/1.1 demands a Host of every request.
  assertEquals(await asked.status("GET /healthz HTTP/1.1"), 400);
  await asked.server.shutdown();
  const answer = await asked.ask("GET /readyz HTTP/1.0");
  assertMatch(answer, /^HTTP\/1\.1 503 /);
  assert(answer.endsWith("\r\n\r\nnot ready\n"), answer);
  assert(
    (await asked.ask("GET /readyz HTTP/1.1", `Host: ${asked.ours}`)).includes(
      '"orders" is stopped',
    ),
  );
});

Deno.test("serveStats() sends events with headers that keep proxies from holding them back", async () => {
  await using asked = await AskedPage.start();
  const head = await asked.ask("HEAD /events HTTP/1.1", `Host: ${asked.ours}`);
  assertMatch(head, /^x-accel-buffering: no\r$/im);
  assertMatch(head, /^cache-control: no-store, no-transform\r$/im);
  assertMatch(head, /^content-type: text\/event-stream\r$/im);
});

Deno.test("serveStats() closes a connection that it refused, and answers nothing more on it", async () => {
  await using asked = await AskedPage.start();
  const next = `GET /healthz HTTP/1.1\r\nHost: ${asked.ours}\r\n\r\n`;
  const refused = [
    "GET /stats.json HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    `GET / HTTP/1.1\r\nHost: ${asked.ours}\r\nHost: ${asked.ours}\r\n\r\n`,
    `DELETE / HTTP/1.1\r\nHost: ${asked.ours}\r\n\r\n`,
  ];
  for (const request of refused) {
    const answer = await RawHttp.ask(asked.page, request + next);
    assertMatch(answer, /^connection: close\r$/im, request);
    assertEquals(answer.match(/^HTTP\/1\.1 /gm)?.length, 1, answer);
  }
});

Deno.test("serveStats() drops a viewer that does not read, so that another one may watch", async () => {
  await using test = await started();
  // A long name makes long events: what the sockets' buffers hold is soon passed.
  const sources = { ["x".repeat(2_000_000)]: test.server };
  await using page = serveStats(sources, { maxViewers: 1, intervalMs: 100 });
  await page.ready;
  const request = `GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  using _deaf = await RawHttp.send(page, request);
  const watch = async () => {
    const response = await fetch(`${page.url}events`);
    await response.body?.cancel();
    return response.status;
  };
  await until("the deaf viewer has the only place", async () => await watch() === 503);
  await until("the deaf viewer is dropped", async () => await watch() === 200, 20_000);
});

Deno.test("metricsFormat() honours quality, refusals, wildcards and versions", () => {
  const open = "application/openmetrics-text";
  const prometheus = [
    undefined,
    "",
    "*/*",
    "application/*",
    "text/plain",
    `${open};q=0, text/plain`,
    `${open}; q=0.0`,
    `${open};q=0`,
    `${open};q=0.3,text/plain;q=0.9`,
    `text/*;q=0.9, ${open};q=0.5`,
    `${open};version=9.0.0,text/plain;q=0.1`,
    "application/openmetrics-texts",
  ];
  for (const accept of prometheus) assertEquals(metricsFormat(accept), "prometheus", accept);
  const openmetrics = [
    open,
    open.toUpperCase(),
    `${open};version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1`,
    `${open}; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1`,
    `text/plain;q=0.5, ${open};version="1.0.0"; q=0.5`,
    `*/*, text/plain;q=0.1, ${open};q=0.2`,
    `${open};q=1.000`,
    `text/plain;q=0, ${open};q=0.001`,
  ];
  for (const accept of openmetrics) assertEquals(metricsFormat(accept), "openmetrics", accept);
});

Deno.test("targetOf() tells path and host apart in every form of a request line", () => {
  assertEquals(targetOf("/a?b#c", ["Host", "h"]), { path: "/a", host: "h" });
  assertEquals(targetOf("*", ["Host", "h"]), { path: "*", host: "h" });
  assertEquals(targetOf("http://h:1/a?b", ["Host", "other"]), { path: "/a", host: "h:1" });
  assertEquals(targetOf("/http://h/a", ["X", "Host", "host", "h"]), {
    path: "/http://h/a",
    host: "h",
  });
  assertEquals(targetOf("/", ["X-Host", "a"]), { path: "/", host: null });
  assertEquals(targetOf("http://h/", ["Host", "a", "HOST", "b"]), null);
});
