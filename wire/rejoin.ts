// Rejoin: whether a joined side joins again after its session ended, and when.
import type { Backoff } from "../async/backoff.ts";
import { checkDialOptions } from "../client/check_dial.ts";
import { isPermanentFailure } from "../client/permanent_failure.ts";
import type { ResolvedConnectTransportOptions } from "../client/options.ts";
import { ClosedError } from "../errors.ts";
import type { JoinOptions } from "./options.ts";
import type { WireReporter } from "./observe/reporter.ts";

/** Decides about further attempts, and announces them. */
export class Rejoin {
  readonly #backoff: Backoff | null;
  readonly #reporter: WireReporter;
  readonly #onRetry: NonNullable<JoinOptions["onRetry"]>;

  /** `backoff` is `null` where one session is all. */
  constructor(backoff: Backoff | null, reporter: WireReporter, onRetry: NonNullable<JoinOptions["onRetry"]>) {
    this.#backoff = backoff;
    this.#reporter = reporter;
    this.#onRetry = onRetry;
  }

  /**
   * The first attempt begins, unless there is a mistake in the options, which is reported and
   * returned. Never rejects.
   */
  async started(options: ResolvedConnectTransportOptions): Promise<unknown> {
    this.#backoff?.started(performance.now());
    try {
      await checkDialOptions(options);
      return undefined;
    } catch (mistake) {
      this.#reporter.report(mistake, { phase: "connect" });
      return mistake;
    }
  }

  /** A session is open. */
  connected(): void {
    this.#backoff?.connected(performance.now());
  }

  /** The session was of use: it has carried a stream. */
  used(): void {
    this.#backoff?.used();
  }

  /** Milliseconds before the next attempt, `null` when there will be none. */
  decide(error: unknown, ending: AbortSignal): number | null {
    if (ending.aborted || this.#backoff === null) return null;
    const why = error ?? new ClosedError("ERR_CLOSED", "The server closed the session");
    if (isPermanentFailure(why)) return null;
    try {
      const delayMs = this.#backoff.failed(why, performance.now(), Math.random());
      if (delayMs === null || ending.aborted) return null;
      const attempt = this.#backoff.attempts;
      const fields = { attempt, delayMs, error: why };
      this.#reporter.events.tell({ level: "warn", kind: "retry", message: "Joining again", fields });
      this.#reporter.guard(() => this.#onRetry({ attempt, delayMs, error: why }));
      return delayMs;
    } catch (mistake) {
      this.#reporter.report(mistake, { phase: "hook" });
      return null;
    }
  }
}
