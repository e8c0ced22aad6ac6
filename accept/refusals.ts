// RefusalReports: reports to the owner of a server of connections that its limits refused, once in a while.
import type { LimitError } from "../errors.ts";
import type { Admission, RefusalReason } from "../limits/admission.ts";
import { refusalError } from "../limits/refusal.ts";
import { sourceKey } from "../limits/source_key.ts";
import { KindRateLimiter } from "../log/text.ts";
import type { Address } from "../net/transport/transport.ts";

/** Time in ms within which a refusal is reported once for each reason: what is full stays so for a while. */
const INTERVAL_MS = 10_000;

/** A refusal to be reported. */
export interface RefusalReport {
  /** The limit, and what to change. */
  readonly error: LimitError;
  /** Refusals for the same reason that were not reported since the last one that was. */
  readonly leftOut: number;
}

/** Chooses the refusals that are reported. */
export class RefusalReports {
  readonly #limiter = new KindRateLimiter({ maxPerInterval: 1, intervalMs: INTERVAL_MS });

  /** Returns the report of a refusal, or `null` when there is none to be made. A drain is no news to the owner. */
  next(reason: RefusalReason, remoteAddr: Address, admission: Admission<unknown>): RefusalReport | null {
    if (reason === "draining") return null;
    const decision = this.#limiter.ask(reason, performance.now());
    if (!decision.write) return null;
    const error = refusalError(reason, admission.limits, sourceKey(remoteAddr));
    return { error, leftOut: decision.leftOut };
  }
}
