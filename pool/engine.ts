// PoolEngine: performs what the dispatcher decides: dials, leases, and closes connections.
import { establish } from "../client/connect.ts";
import type { Connection } from "../connection.ts";
import { ignoreRejection } from "../async/rejections.ts";
import { AddressError, ClosedError } from "../errors.ts";
import type { ConnectionStats } from "../stats/data/snapshots.ts";
import { isUsable, type Link, type PoolBackend } from "./backend.ts";
import { newBalancer } from "./balance.ts";
import { type Dial, type Trial, Waiter } from "./member.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Lease, type Verdict } from "./lease.ts";
import { type AnswerRule, LeasedConnection } from "./leased_connection.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import { OutlierDetector } from "./outliers.ts";
import { PoolReporter } from "./reporter.ts";
import { RetryBudget } from "./retry_budget.ts";
import { newPoolCounters, type PoolCounters } from "../stats/data/pool_stats.ts";

/** A caller of `acquire`. */
export class Acquirer extends Waiter<PoolBackend> {
  /** Settles the call. */
  readonly result: PromiseWithResolvers<Lease> = Promise.withResolvers();
  /** Whether it has been settled. */
  settled = false;
  /** Why its last dial failed. */
  lastError: unknown;
}

/** A link that is leased. */
interface Loan {
  readonly link: Link;
  readonly lent: LeasedConnection;
  readonly trial: Trial | null;
  readonly beganAtMs: number;
}

/** The moving parts of a pool. */
export class PoolEngine {
  readonly options: ResolvedPoolOptions;
  readonly counters: PoolCounters = newPoolCounters();
  readonly budget: RetryBudget;
  readonly outliers: OutlierDetector<PoolBackend> | null;
  readonly dispatcher: Dispatcher<Link, PoolBackend, Acquirer>;
  readonly reporter: PoolReporter;
  /** When an end of a leased connection is an answer that is missing. */
  readonly answers: AnswerRule;
  /** Aborts when no link may be opened any more. */
  readonly ending: AbortController = new AbortController();
  /** Why waiters cannot be served, when no backend is up. */
  lastError: unknown;
  #judgeAtMs: number;

  constructor(options: ResolvedPoolOptions) {
    this.options = options;
    this.reporter = new PoolReporter(options.given.onError, options.given.logger);
    this.budget = new RetryBudget(options.retryBudget, performance.now());
    this.outliers = options.outliers === null ? null : new OutlierDetector(options.outliers);
    this.dispatcher = new Dispatcher({
      balancer: newBalancer(options.balance, Math.random),
      maxLinks: options.maxConnections,
      maxWaiting: options.maxWaiting,
      isUsable,
    });
    const { framing, isReusable } = options.given;
    this.answers = framing?.name === "raw" ? "never" : isReusable === undefined ? "each" : "last";
    this.#judgeAtMs = performance.now() + (options.outliers?.intervalMs ?? 0);
  }

  /** Does all that the dispatcher wants done. */
  readonly perform = (): void => {
    for (;;) {
      const action = this.dispatcher.take();
      if (action === undefined) break;
      switch (action.kind) {
        case "grant":
          this.#grant(action.waiter, action.link, action.trial);
          break;
        case "dial":
          void this.#dial(action.dial);
          break;
        case "close":
          void this.closeLink(action.link);
          break;
        case "fail":
          this.#fail(action.waiter, action.why);
      }
    }
    for (const { leaving, links, quiet } of this.dispatcher.members) {
      if (leaving && links === 0) quiet.resolve();
    }
  };

  /** A backend may have become able to work, or unable. */
  readonly onChange = (): void => {
    this.dispatcher.settle();
    this.perform();
  };

  /** Looks at times: idle links, outliers, circuits that are due. */
  sweep(nowMs: number): void {
    const { dispatcher, outliers, options } = this;
    const idleBefore = nowMs - options.idleTimeoutMs;
    for (const backend of dispatcher.members) {
      backend.sweep();
      dispatcher.closeIdle(
        backend,
        ({ idleSinceMs }) => !backend.healthy || idleSinceMs <= idleBefore,
      );
    }
    if (outliers !== null && nowMs >= this.#judgeAtMs) {
      this.#judgeAtMs = nowMs + options.outliers!.intervalMs;
      for (const backend of outliers.judge(nowMs)) backend.counters.ejections++;
    }
    this.onChange();
  }

  /** Takes a backend out of work: no more leases, idle links are closed, holders are notified. */
  drain(backend: PoolBackend): void {
    if (backend.leaving) return;
    backend.draining.abort(
      new ClosedError("ERR_GOING_AWAY", `The backend "${backend.name}" is being drained`),
    );
    this.dispatcher.closeIdle(backend, () => true);
    this.onChange();
  }

  /** Closes a link in order; its place is free once it is closed. */
  async closeLink({ conn, backend }: Link): Promise<void> {
    await conn.close().catch(() => {});
    this.dispatcher.closed(backend);
    this.perform();
  }

  #grant(waiter: Acquirer, link: Link, trial: Trial | null): void {
    const { conn, backend } = link;
    const lent = link.lent = new LeasedConnection(conn, {
      backend: backend.name,
      isReused: link.used,
      answers: this.answers,
      given: this.options.given,
      // An answer is all that a trial wants to see, however long the lease lasts.
      onFirstMessage: trial === null ? null : () => trial(true),
    });
    const loan: Loan = { link, lent, trial, beganAtMs: performance.now() };
    const lease = new Lease(lent.asConnection(), {
      backend: backend.name,
      draining: backend.draining.signal,
      onReturn: (verdict) => {
        backend.leases.delete(lease);
        this.#takeBack(loan, verdict);
      },
    });
    backend.leases.add(lease);
    backend.counters.leases++;
    if (link.used) backend.counters.leasesReused++;
    link.used = true;
    waiter.settled = true;
    waiter.result.resolve(lease);
  }

  #takeBack(loan: Loan, verdict: Verdict): void {
    const { link, lent } = loan;
    const { conn, backend } = link;
    const stats = conn.stats();
    const isReusable = verdict.kind === "released" && this.#isReusable(loan);
    const hasFailed = verdict.kind === "failed" ||
      verdict.kind === "released" &&
        (stats.errorCode !== null || this.answers === "each" && !isReusable);
    const hasLeft = hasFailed && hasLeftInOrder(lent, stats, verdict);
    this.#judge(loan, verdict, hasFailed, hasLeft);
    link.idleSinceMs = performance.now();
    if (isReusable && !hasFailed && lent.isWhole && isUsable(link)) {
      lent.revoke(stats, true);
      link.lent = null;
      this.dispatcher.released(backend, link);
    } else {
      lent.revoke(stats, false);
      backend.counters.leasesSpoiled++;
      this.dispatcher.releasedBroken(backend);
      // A failed one is cut: waiting for its end would hold its place. What was sent without asking
      // for an answer goes out.
      const cut = hasFailed && !hasLeft && (verdict.kind === "failed" || stats.queuedBytes === 0);
      if (cut) conn.abort(new ClosedError("ERR_CLOSED", "The lease on the connection had failed"));
      void this.closeLink(link);
    }
    this.perform();
  }

  #isReusable({ link, lent: { messagesIn, messagesOut } }: Loan): boolean {
    const { isReusable } = this.options;
    return this.reporter.ask(
      "isReusable",
      () => isReusable({ messagesIn, messagesOut }),
      link.backend.name,
    );
  }

  /** Reports to breaker and outlier detection how a lease went. */
  #judge(loan: Loan, verdict: Verdict, hasFailed: boolean, hasLeft: boolean): void {
    const { link: { backend }, lent, beganAtMs } = loan;
    // A trial is over with its first answer.
    const trial = lent.messagesIn > 0 ? null : loan.trial;
    if (hasFailed) backend.counters.leasesFailed++;
    // That a backend left in order is no failure of it; but a trial that brought no answer shows nothing.
    if (hasLeft) trial?.(false);
    else if (verdict.kind === "discarded") trial?.(true);
    else void backend.record(!hasFailed, trial, performance.now() - beganAtMs);
  }

  async #dial(dial: Dial<PoolBackend>): Promise<void> {
    const backend = dial.member;
    const { target, counters, onTraffic } = backend;
    counters.dials++;
    let conn: Connection;
    try {
      conn = await establish<unknown>(target, { onTraffic }, this.ending.signal);
    } catch (error) {
      return await this.#dialFailed(dial, error);
    }
    const link: Link = {
      conn,
      backend,
      used: false,
      idleSinceMs: performance.now(),
      ended: false,
      lent: null,
    };
    this.lastError = undefined;
    void conn.inputEnded.then(() => this.#onEnded(link));
    void conn.closed.then((end) => link.lent?.onClosed(end));
    this.dispatcher.dialled(dial, link);
    this.perform();
  }

  async #dialFailed(dial: Dial<PoolBackend>, error: unknown): Promise<void> {
    const { member: backend, trial } = dial;
    this.lastError = error;
    backend.counters.dialFailures++;
    if (this.ending.signal.aborted) trial?.(false);
    else await backend.record(false, trial, 0);
    const waiter = dial.waiter as Acquirer | null;
    if (waiter !== null) waiter.lastError = error;
    const again = waiter !== null && waiter.attempts + 1 < this.options.maxDialAttempts &&
      this.mayRetry();
    this.dispatcher.dialFailed(dial, again);
    this.perform();
  }

  /** Takes one retry from the budget. */
  mayRetry(): boolean {
    const allowed = this.budget.tryTake(performance.now());
    allowed ? this.counters.retries++ : this.counters.retriesRefused++;
    return allowed;
  }

  /** The backend ended a connection. */
  #onEnded(link: Link): void {
    link.ended = true;
    link.lent?.onInputEnded();
    if (!this.dispatcher.idleLost(link.backend, link)) return;
    link.backend.counters.idleLost++;
    void this.closeLink(link);
  }

  #fail(waiter: Acquirer, why: "dial" | "down"): void {
    waiter.settled = true;
    ignoreRejection(waiter.result.promise);
    if (this.ending.signal.aborted) {
      waiter.result.reject(this.ending.signal.reason);
    } else if (why === "dial") {
      this.counters.dialsExhausted++;
      waiter.result.reject(waiter.lastError);
    } else {
      this.counters.noBackend++;
      waiter.result.reject(noBackend(waiter.lastError ?? this.lastError));
    }
  }
}

function noBackend(cause: unknown): AddressError {
  const text =
    "Cannot acquire a connection: no backend is up: all are drained, ejected, unwell or failing";
  return new AddressError("ERR_NO_BACKEND", text, { cause });
}

/**
 * Whether a lease failed only as the backend left: it ended the connection in order, or ended one
 * that was kept for reuse before anything came on it in this lease. What the holder makes of the
 * connection's own error is no verdict of its own.
 */
function hasLeftInOrder(
  lent: LeasedConnection,
  { errorCode }: ConnectionStats,
  verdict: Verdict,
): boolean {
  if (verdict.kind === "failed" && !(verdict.error instanceof ClosedError)) return false;
  return lent.isEndedInOrder || lent.isUntouched && errorCode === "ERR_RESET";
}
