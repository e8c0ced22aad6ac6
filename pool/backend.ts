// PoolBackend: one place that work can go to; its links, how it is, and its numbers.
import { resolveConnectOptions, type ResolvedConnectOptions } from "../client/options.ts";
import type { Connection } from "../connection.ts";
import { checkInteger, checkNumber, checkText } from "../options/check.ts";
import type { Traffic } from "../connection/types.ts";
import { Breaker } from "./breaker.ts";
import { Member, type Trial } from "./member.ts";
import type { Lease } from "./lease.ts";
import type { LeasedConnection } from "./leased_connection.ts";
import type { Backend, ResolvedPoolOptions } from "./options.ts";
import type { OutlierDetector } from "./outliers.ts";
import {
  type BackendCounters,
  type BackendState,
  type BackendStats,
  newBackendCounters,
} from "../stats/data/pool_stats.ts";

/** A connection of the pool. */
export interface Link {
  readonly conn: Connection;
  readonly backend: PoolBackend;
  /** Whether it was leased before. */
  used: boolean;
  /** When it was last put aside. */
  idleSinceMs: number;
  /** Whether the backend has ended its direction. */
  ended: boolean;
  /** What the holder of its last lease has of it: it learns of the connection's end. */
  lent: LeasedConnection | null;
}

/** What a backend needs of its pool. */
export interface BackendContext {
  readonly options: ResolvedPoolOptions;
  readonly outliers: OutlierDetector<PoolBackend> | null;
  /** Called when it may have become able to work, or unable. */
  readonly onChange: () => void;
}

/** One backend of a pool. */
export class PoolBackend extends Member<Link> {
  readonly name: string;
  readonly weight: number;
  readonly maxLinks: number;
  /** Where and how to connect. */
  readonly target: ResolvedConnectOptions<unknown>;
  /** Its circuit; `null` when the user wants none. */
  readonly breaker: Breaker | null;
  /** What is counted for it. */
  readonly counters: BackendCounters = newBackendCounters();
  /** Leases that are out. */
  readonly leases: Set<Lease> = new Set();
  /** Aborts when it is drained. */
  readonly draining: AbortController = new AbortController();
  /** What its last health checks said. */
  healthy = true;
  /** Resolves when it is drained and has no links. */
  readonly quiet: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #context: BackendContext;

  /** Checks the user's options. */
  constructor(given: Backend, context: BackendContext) {
    super();
    const { options } = context;
    this.#context = context;
    this.target = targetOf(given, options);
    this.name = nameOf(given);
    this.weight = checkNumber("Cannot add the backend", "weight", given.weight ?? 1, 0.001, 1e6);
    this.maxLinks = checkInteger(
      "Cannot add the backend",
      "maxConnections",
      given.maxConnections ?? options.maxPerBackend,
      1,
      1e6,
    );
    this.breaker = options.breaker === null ? null : new Breaker(options.breaker, context.onChange);
  }

  get leaving(): boolean {
    return this.draining.signal.aborted;
  }

  get readiness(): "ready" | "trial" | "pending" | "down" {
    if (this.leaving || !this.healthy || this.isEjected) return "down";
    const { breaker } = this;
    const circuit = breaker?.state ?? "closed";
    if (circuit === "closed") return "ready";
    if (circuit === "half-open") return "pending";
    // With health checks a check is the trial, and no caller has to be.
    return breaker!.isDue && this.#context.options.health === null ? "trial" : "down";
  }

  /** Whether it rests as it was worse than the others. */
  get isEjected(): boolean {
    return this.#context.outliers?.isEjected(this, performance.now()) ?? false;
  }

  begin(): Trial | null {
    return this.breaker?.isDue === true ? this.breaker.begin() : null;
  }

  /** Gives up a trial that takes too long. */
  sweep(): void {
    this.breaker?.sweep();
  }

  /** Work ended, or a dial failed. Resolves when the circuit breaker has counted it. */
  record(ok: boolean, trial: Trial | null, heldMs: number): Promise<void> {
    this.#context.outliers?.record(this, ok, heldMs);
    if (trial === null) return this.breaker?.record(ok) ?? Promise.resolve();
    trial(ok);
    return Promise.resolve();
  }

  /** Counts what moved on one of its connections. */
  readonly onTraffic = (traffic: Traffic): void => {
    const { counters } = this;
    counters.bytesIn += traffic.bytesIn;
    counters.bytesOut += traffic.bytesOut;
    counters.messagesIn += traffic.messagesIn;
    counters.messagesOut += traffic.messagesOut;
  };

  /** Where it is in its life. */
  get state(): BackendState {
    if (this.leaving) return this.links === 0 ? "drained" : "draining";
    if (!this.healthy) return "unwell";
    if (this.isEjected) return "ejected";
    const circuit = this.breaker?.state ?? "closed";
    return circuit === "closed" ? "ready" : circuit;
  }

  /** All of it as plain data. */
  stats(): BackendStats {
    return {
      name: this.name,
      address: JSON.parse(this.target.targetText),
      state: this.state,
      breaker: this.breaker?.state ?? null,
      weight: this.weight,
      idle: this.idle.length,
      busy: this.busy,
      dialling: this.dialling,
      closing: this.closing,
      ...this.counters,
      breakerOpened: this.breaker?.opened ?? 0,
    };
  }
}

/**
 * Whether a link can be leased: open, and after its first lease with nothing received and nothing
 * to be sent. Before that, what came is a greeting.
 */
export function isUsable({ conn, ended, used }: Link): boolean {
  if (ended || conn.status !== "open") return false;
  if (!used) return true;
  const { heldBytes, queuedBytes } = conn.stats();
  return heldBytes === 0 && queuedBytes === 0;
}

/**
 * The name under which a backend is known.
 *
 * @throws {TypeError | RangeError} when it is no name
 */
export function nameOf({ name, path, hostname = "127.0.0.1", port }: Backend): string {
  if (name !== undefined) return checkText("Cannot add the backend", "name", name, 1, 255);
  return path ?? `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

function targetOf(given: Backend, { given: common, timeoutMs }: ResolvedPoolOptions) {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`Cannot add the backend: it must be an object, got ${typeof given}`);
  }
  const { hostname, port, path, tls = common.tls } = given;
  const where = path === undefined ? { hostname, port } : { hostname, port, path };
  return resolveConnectOptions(
    { ...common, ...where, tls, timeoutMs, idleTimeoutMs: 0 } as Parameters<
      typeof resolveConnectOptions
    >[0],
  );
}
