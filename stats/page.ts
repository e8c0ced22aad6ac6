// serveStats(): a page with live statistics, on an address of its own.
import { type CloseOptions, closeTimeout } from "../options/close.ts";
import type { ServerState } from "../accept/server_state.ts";
import { ClosedError } from "../errors.ts";
import type { Address } from "../net/transport/transport.ts";
import { HostCheck } from "./page/hosts.ts";
import { HttpServer } from "./page/http_server.ts";
import {
  nameSources,
  type ResolvedServeStatsOptions,
  resolveServeStats,
  type ServeStatsOptions,
  type StatsSource,
} from "./page/options.ts";
import { Routes } from "./page/routes.ts";
import { Sampler } from "./page/sampler.ts";

export type { ServeStatsOptions, StatsSource } from "./page/options.ts";
export type { OffersReport, SourceDetails } from "./page/details.ts";
export type { HistoryReport, ProcessSample, StatsReport } from "./page/sampler.ts";
export type { Rates, RequestTimes, SourceReport, SourceSample } from "./page/track.ts";
export type { DayReport, LinkReport, SourceSnapshot } from "./export/report.ts";

/**
 * Serves statistics over HTTP, on loopback unless an option says otherwise. Returns at once: `page.ready`
 * resolves when it listens. It does not keep the process alive.
 *
 * | path | what |
 * | --- | --- |
 * | `/` | a live page for people |
 * | `/stats.json` | {@linkcode StatsReport} |
 * | `/hour.json`, `/day.json` | {@linkcode HistoryReport}: the last hour in steps of 10 s, the last day in steps of a minute |
 * | `/metrics` | OpenMetrics for clients that prefer it, else the text format of Prometheus |
 * | `/healthz` | 200 while the process answers |
 * | `/readyz` | 200 while it can be given work, 503 while it drains or is about to, or once its certificate has ended |
 * | `/events` | what the page reads: server-sent events of the same shape as `/stats.json` |
 *
 * It shows addresses and names of peers to every client that can reach it: there is no password. It
 * has no TLS; put a proxy before it where it must be reached from elsewhere.
 *
 * @param sources What to show: one source, several, or several by name
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 *
 * @example
 * ```ts
 * import { serve } from "@parley/parley";
 * import { serveStats } from "@parley/parley/stats";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(() => {});
 * await server.ready;
 * await using page = serveStats({ orders: server });
 * await page.ready;
 *
 * const response = await fetch(`${page.url}readyz`);
 * assertEquals(await response.text(), "ready\n");
 * ```
 */
export function serveStats(
  sources: StatsSource | readonly StatsSource[] | Readonly<Record<string, StatsSource>>,
  options: ServeStatsOptions = {},
): StatsPage {
  const resolved = resolveServeStats(options);
  return new StatsPage(nameSources(sources), resolved);
}

/**
 * A running statistics page; {@linkcode serveStats} makes it.
 *
 * All methods may be called concurrently; the first call that ends it decides.
 */
export class StatsPage implements AsyncDisposable {
  /** Resolves when it listens; rejects when it cannot. */
  readonly ready: Promise<void>;
  /** Resolves when it is closed and its descriptors are free. Never rejects. */
  readonly finished: Promise<void>;
  readonly #options: ResolvedServeStatsOptions;
  readonly #routes: Routes;
  readonly #http: HttpServer;
  readonly #sampler: Sampler;
  readonly #finished: PromiseWithResolvers<void> = Promise.withResolvers();
  #addr: Address | null = null;
  /** What {@linkcode ready} waits for. */
  #listening: Promise<Address> | null = null;
  #closing: Promise<void> | null = null;

  /** @ignore use {@linkcode serveStats} */
  constructor(sources: ReadonlyMap<string, StatsSource>, options: ResolvedServeStatsOptions) {
    this.#options = options;
    this.finished = this.#finished.promise;
    const hosts = new HostCheck(options.hostname, options.allowedHosts);
    this.#routes = new Routes(options, hosts, () => this.#sampler);
    const { intervalMs } = options;
    this.#sampler = new Sampler(sources, { intervalMs, onSample: () => this.#routes.publish() });
    this.#http = new HttpServer({
      ...options,
      onRequest: (request, response) => this.#routes.answer(request, response),
    });
    this.ready = this.#start();
    this.ready.catch(() => {});
  }

  /** Where in its life the page is; it has nothing to drain. */
  get state(): ServerState {
    if (this.#closing !== null) return "stopped";
    return this.#addr === null ? "created" : "listening";
  }

  /**
   * Where it listens, with the real port. Known once {@linkcode ready} has resolved.
   *
   * @throws {ClosedError} `ERR_CLOSED` when it does not listen yet, or never did
   */
  get addr(): Address {
    if (this.#addr !== null) return this.#addr;
    const why = this.#closing === null
      ? "does not listen yet: await `ready` first"
      : "was closed before it listened";
    throw new ClosedError("ERR_CLOSED", `Cannot tell the address: the statistics page ${why}`);
  }

  /**
   * Its address for a browser, such as `http://127.0.0.1:9100/`.
   *
   * @throws {ClosedError} as {@linkcode addr} does
   */
  get url(): string {
    const { addr } = this;
    if (addr.transport !== "tcp") return "";
    const { hostname, port } = addr;
    return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}/`;
  }

  /** Lets the process live while the page is served. */
  ref(): void {
    this.#http.setReferenced(true);
  }

  /** Lets the process end although the page is served (the default). */
  unref(): void {
    this.#http.setReferenced(false);
  }

  /**
   * Closes the page and all its connections: there is nothing to wait for, whatever `timeoutMs`.
   * Resolves when the descriptors are free. Idempotent.
   *
   * @throws {TypeError | RangeError} when an option is wrong; nothing is closed then
   */
  shutdown(options: CloseOptions = {}): Promise<void> {
    try {
      closeTimeout("Cannot shut down", options, 0);
    } catch (mistake) {
      return Promise.reject(mistake);
    }
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes it now; {@linkcode finished} resolves when the descriptors are free. Idempotent. */
  abort(): void {
    void this.shutdown();
  }

  /** The same as {@linkcode shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  readonly #onSignal = (): void => {
    void this.shutdown();
  };

  async #start(): Promise<void> {
    const { signal } = this.#options;
    signal?.addEventListener("abort", this.#onSignal, { once: true });
    try {
      signal?.throwIfAborted();
      this.#listening = this.#http.listen();
      this.#addr = await this.#listening;
    } catch (error) {
      void this.shutdown();
      throw error;
    }
  }

  async #close(): Promise<void> {
    this.#options.signal?.removeEventListener("abort", this.#onSignal);
    this.#sampler.stop();
    this.#routes.viewers.end();
    // A server that is closed while it begins to listen would listen all the same, and never report it.
    await this.#listening?.catch(() => {});
    await this.#http.close();
    this.#finished.resolve();
  }
}
