// RefusalReports: chooses which refused connections are reported to the owner of a server.
import type { LimitError } from "../errors.ts";
import type { Admission, RefusalReason } from "../limits/admission.ts";
import { refusalError } from "../limits/refusal.ts";
import { sourceKey } from "../limits/source_key.ts";
import { KindRateLimiter } from "../log/text.ts";
import type { Address } from "../net/transport/transport.ts";

/** Each reason is reported once in so many ms: a limit that is reached stays so for a while. */
const INTERVAL_MS = 10_000;

/** A refusal that the owner must learn of. */
export interface RefusalReport {
  /** Names the limit, and what to change. */
  readonly error: LimitError;
  /** Refusals for the same reason since the last report. */
  readonly leftOut: number;
}

/** Chooses the refusals that are reported: for each reason the first in ten seconds. */
export class RefusalReports {
  readonly #limiter = new KindRateLimiter({ maxPerInterval: 1, intervalMs: INTERVAL_MS });

  /**
   * Returns the report of a refusal, or `null` when it is not reported. The owner knows of a drain
   * already.
   */
  next(
    reason: RefusalReason,
    remoteAddr: Address,
    admission: Admission<unknown>,
  ): RefusalReport | null {
    if (reason === "draining") return null;
    const decision = this.#limiter.ask(reason, performance.now());
    if (!decision.write) return null;
    const error = refusalError(reason, admission.limits, sourceKey(remoteAddr));
    return { error, leftOut: decision.leftOut };
  }
}
