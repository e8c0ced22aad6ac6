// Routes: what each path answers, to which clients, with which headers.
import { callHook } from "../../log/call_hook.ts";
import type { IncomingMessage, ServerResponse } from "node:http";
import { METRICS_CONTENT_TYPES, openMetrics } from "../export/openmetrics.ts";
import { metricsFormat } from "./accept.ts";
import { EventStreams } from "./event_streams.ts";
import type { HostCheck } from "./hosts.ts";
import { HTML, ICON } from "./html.ts";
import type { ResolvedServeStatsOptions } from "./options.ts";
import { targetOf } from "./request_target.ts";
import type { Sampler, StatsReport } from "./sampler.ts";
import type { ReportSize, Span } from "./track.ts";
import { UPLOT_SCRIPT } from "./uplot.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/** Headers of every answer: nothing from elsewhere, nothing kept, nothing guessed, no other site's frames. */
const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

const PLAIN = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json; charset=utf-8";

/** Files of the page, by path. */
const FILES: ReadonlyMap<string, readonly [type: string, text: string]> = new Map([
  ["/", ["text/html; charset=utf-8", HTML]],
  ["/page.css", ["text/css; charset=utf-8", STYLE]],
  ["/page.js", ["text/javascript; charset=utf-8", SCRIPT]],
  ["/uplot.js", ["text/javascript; charset=utf-8", UPLOT_SCRIPT]],
  ["/icon.svg", ["image/svg+xml", ICON]],
]);

/** Paths that say nothing but yes or no: a request that names no host may ask for them. */
const PROBES: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

/**
 * Headers of the stream of events. nginx and its like hold answers back and others compress them, so that
 * events would come late; these headers keep them from both.
 */
const EVENT_HEADERS: Readonly<Record<string, string>> = {
  ...HEADERS,
  "cache-control": "no-store, no-transform",
  "content-type": "text/event-stream",
  "x-accel-buffering": "no",
};

/** What a viewer of the page is shown: links and days that fit on it. */
const SHOWN = { maxLinks: 100, maxDays: 31 } as const;

/** Samples that are shown at first. */
const ALL_SAMPLES = 300;

/** Answers requests. */
export class Routes {
  /** Viewers of the live page. */
  readonly viewers: EventStreams;
  readonly #options: ResolvedServeStatsOptions;
  readonly #hosts: HostCheck;
  readonly #sampler: () => Sampler;
  /** The longer histories as they were last asked for, which is long text that changes seldom. */
  readonly #histories = new Map<Span, { readonly lastMs: number; readonly text: string }>();

  constructor(options: ResolvedServeStatsOptions, hosts: HostCheck, sampler: () => Sampler) {
    this.#options = options;
    this.#hosts = hosts;
    this.#sampler = sampler;
    this.viewers = new EventStreams(options.maxViewers, () => {
      this.#sampler().watched = this.viewers.size > 0;
    });
  }

  /** Answers one request. Never throws. */
  answer(request: IncomingMessage, response: ServerResponse): void {
    response.on("error", () => response.destroy());
    try {
      this.#answer(request, response);
    } catch {
      // What went wrong is for the program that runs it, not for its clients.
      if (!response.headersSent) reply(response, 500, PLAIN, "Something went wrong\n");
      else response.destroy();
    }
  }

  /** Sends the last sample to every viewer. */
  publish(): void {
    if (this.viewers.size === 0) return;
    this.viewers.send("sample", JSON.stringify(this.#report({ ...SHOWN, maxSamples: 1 })));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const target = targetOf(request.url ?? "", request.rawHeaders);
    if (target === null) return refuse(response, 400, "A request must have one Host header\n");
    const { path, host } = target;
    // A browser names a host in every request, so that one without a name comes from no web page.
    const isProbe = host === null && PROBES.has(path);
    if (!isProbe && !this.#hosts.allows(host ?? undefined, request.socket.localAddress)) {
      return refuse(response, 421, "This page is not served under that name\n");
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return refuse(response, 405, "Only GET and HEAD are served\n");
    }
    const known = FILES.get(path);
    if (known !== undefined) return reply(response, 200, ...known);
    switch (path) {
      case "/stats.json": {
        this.#sampler().refresh();
        const report = this.#report({
          maxLinks: this.#options.maxListed,
          maxDays: Infinity,
          maxSamples: ALL_SAMPLES,
        });
        return reply(response, 200, JSON_TYPE, JSON.stringify(report));
      }
      case "/hour.json":
        return reply(response, 200, JSON_TYPE, this.#history("hour"));
      case "/day.json":
        return reply(response, 200, JSON_TYPE, this.#history("day"));
      case "/metrics":
        return this.#metrics(request, response);
      case "/events":
        return this.#events(request, response);
      case "/healthz":
        return reply(response, 200, PLAIN, "ok\n");
      case "/readyz":
        return this.#ready(response, isProbe);
      default:
        return reply(response, 404, PLAIN, "Nothing is served there\n");
    }
  }

  #history(span: Span): string {
    const history = this.#sampler().history(span);
    const lastMs = history.process.at(-1)?.[0] ?? 0;
    const known = this.#histories.get(span);
    if (known?.lastMs === lastMs) return known.text;
    const text = JSON.stringify(history);
    this.#histories.set(span, { lastMs, text });
    return text;
  }

  #metrics({ headers }: IncomingMessage, response: ServerResponse): void {
    const format = metricsFormat(headers.accept);
    this.#sampler().refresh();
    const text = openMetrics(this.#sampler().snapshots(), { format });
    response.setHeader("vary", "accept");
    reply(response, 200, METRICS_CONTENT_TYPES[format], text);
  }

  #events({ method }: IncomingMessage, response: ServerResponse): void {
    if (this.viewers.full) {
      response.setHeader("retry-after", "10");
      return refuse(response, 503, "Too many viewers\n");
    }
    response.writeHead(200, EVENT_HEADERS);
    if (method === "HEAD") return void response.end();
    this.#sampler().refresh();
    const report = this.#report({ ...SHOWN, maxSamples: ALL_SAMPLES });
    this.viewers.add(response, JSON.stringify(report));
  }

  /** @param brief Whether the client may get yes or no only, and no names of sources. */
  #ready(response: ServerResponse, brief: boolean): void {
    this.#sampler().refresh();
    const { ready, sources } = this.#report({ maxLinks: 0, maxDays: 0, maxSamples: 0 });
    if (ready) return reply(response, 200, PLAIN, "ready\n");
    const states = sources.map(({ name, state }) => `${JSON.stringify(name)} is ${state}\n`);
    reply(response, 503, PLAIN, `not ready\n${brief ? "" : states.join("")}`);
  }

  #report(size: ReportSize): StatsReport {
    const { title, isReady } = this.#options;
    const report = this.#sampler().report(title, true, size);
    const ready = isReady === undefined
      ? report.sources.every((source) => source.ready)
      : saysYes(isReady);
    return { ...report, ready };
  }
}

/**
 * Whether the answer is yes: a process that cannot answer is not ready either. Never throws:
 * samples are taken where no caller could catch it.
 */
function saysYes(ask: () => boolean): boolean {
  let said: unknown;
  callHook(() => said = ask(), () => {});
  return said === true;
}

function reply(response: ServerResponse, status: number, type: string, text: string): void {
  const length = new TextEncoder().encode(text).length;
  response.writeHead(status, { ...HEADERS, "content-type": type, "content-length": `${length}` });
  response.end(text);
}

/** Refuses a request, and ends its connection: what its sender still sends is not read. */
function refuse(response: ServerResponse, status: number, text: string): void {
  response.setHeader("connection", "close");
  reply(response, status, PLAIN, text);
}
