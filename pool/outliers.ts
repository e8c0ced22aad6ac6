// OutlierDetector: finds the backend that fails or is slow while the others are not. Pure: time is passed in.
import type { Resolved } from "../options/resolved.ts";

/** Options of outlier ejection. */
export interface OutlierOptions {
  /**
   * How often backends are compared, 10 to 3600000 ms.
   * @default {500} so that load moves away within a second
   */
  intervalMs?: number | undefined;
  /** Leases that must have ended in an interval before a backend is judged, 1 to 1000000. @default {5} */
  minLeases?: number | undefined;
  /**
   * Share of failed leases that makes an outlier, 0 to 1, if the others together have less than half of that.
   *
   * @default {0.5}
   */
  maxFailureRatio?: number | undefined;
  /** How many times as long as with the median of the others a lease may last, 1 to 1000000. @default {5} */
  slowFactor?: number | undefined;
  /**
   * How much longer it must last at least, 0 to 3600000 ms, because a tiny difference is no reason.
   * @default {50}
   */
  slowMarginMs?: number | undefined;
  /** Share of the backends that may be out at a time, 0 to 1; one always stays. @default {0.5} */
  maxEjectedRatio?: number | undefined;
  /**
   * How long the first ejection lasts, 1 to 3600000 ms; each one that follows soon is twice as
   * long.
   * @default {1000}
   */
  ejectMs?: number | undefined;
  /** The longest ejection, `ejectMs` to 3600000 ms. @default {30000} */
  maxEjectMs?: number | undefined;
}

/** {@linkcode OutlierOptions} without holes. */
export type ResolvedOutlierOptions = Readonly<Resolved<OutlierOptions>>;

/** The defaults. */
export const DEFAULT_OUTLIERS: ResolvedOutlierOptions = {
  intervalMs: 500,
  minLeases: 5,
  maxFailureRatio: 0.5,
  slowFactor: 5,
  slowMarginMs: 50,
  maxEjectedRatio: 0.5,
  ejectMs: 1000,
  maxEjectMs: 30_000,
};

/** What one backend did in this interval, and how it was judged before. */
interface Conduct {
  leases: number;
  failures: number;
  heldMs: number;
  /** Ejections in a row. */
  ejections: number;
  ejectedUntilMs: number;
}

/**
 * Compares backends with each other, interval by interval. An outlier is left out for a while, the
 * longer the more often it happens; each good interval takes one back.
 *
 * @example
 * ```ts
 * import { DEFAULT_OUTLIERS, OutlierDetector } from "./outliers.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const detector = new OutlierDetector<string>(DEFAULT_OUTLIERS);
 * for (const name of ["a", "b", "c"]) detector.add(name);
 * for (let i = 0; i < 10; i++) {
 *   for (const name of ["a", "b"]) detector.record(name, true, 2);
 *   detector.record("c", true, 200);
 * }
 * assertEquals(detector.judge(500), ["c"]);
 * assertEquals(detector.isEjected("c", 1499), true);
 * assertEquals(detector.isEjected("c", 1500), false);
 * ```
 */
export class OutlierDetector<Key> {
  readonly #options: ResolvedOutlierOptions;
  readonly #conducts = new Map<Key, Conduct>();

  /** Makes one that knows no backend yet. */
  constructor(options: ResolvedOutlierOptions) {
    this.#options = options;
  }

  /** Begins to watch a backend. */
  add(key: Key): void {
    this.#conducts.set(key, {
      leases: 0,
      failures: 0,
      heldMs: 0,
      ejections: 0,
      ejectedUntilMs: -Infinity,
    });
  }

  /** Forgets a backend. */
  remove(key: Key): void {
    this.#conducts.delete(key);
  }

  /** A lease ended, with success or not, after `heldMs`. */
  record(key: Key, ok: boolean, heldMs: number): void {
    const conduct = this.#conducts.get(key);
    if (conduct === undefined) return;
    conduct.leases++;
    if (!ok) conduct.failures++;
    conduct.heldMs += heldMs;
  }

  /** Whether a backend is left out just now. */
  isEjected(key: Key, nowMs: number): boolean {
    return nowMs < (this.#conducts.get(key)?.ejectedUntilMs ?? -Infinity);
  }

  /** Ends an interval: returns those that are left out from now on. */
  judge(nowMs: number): Key[] {
    const ejected: Key[] = [];
    let room = this.#room(nowMs);
    for (const [key, conduct] of this.#conducts) {
      if (nowMs < conduct.ejectedUntilMs || conduct.leases < this.#options.minLeases) continue;
      if (!this.#isOutlier(conduct)) {
        conduct.ejections = Math.max(0, conduct.ejections - 1);
      } else if (room > 0) {
        room--;
        this.#eject(conduct, nowMs);
        ejected.push(key);
      }
    }
    for (const conduct of this.#conducts.values()) {
      conduct.leases = 0;
      conduct.failures = 0;
      conduct.heldMs = 0;
    }
    return ejected;
  }

  /** How many more may be left out. */
  #room(nowMs: number): number {
    const all = this.#conducts.size;
    const out =
      [...this.#conducts.values()].filter(({ ejectedUntilMs }) => nowMs < ejectedUntilMs).length;
    return Math.min(Math.floor(all * this.#options.maxEjectedRatio), all - 1) - out;
  }

  #isOutlier(conduct: Conduct): boolean {
    const { minLeases, maxFailureRatio, slowFactor, slowMarginMs } = this.#options;
    const others = [...this.#conducts.values()].filter((each) =>
      each !== conduct && each.leases >= minLeases
    );
    if (others.length === 0) return false;
    const failures = others.reduce((sum, each) => sum + each.failures, 0);
    const leases = others.reduce((sum, each) => sum + each.leases, 0);
    const ratio = conduct.failures / conduct.leases;
    if (ratio > 0 && ratio >= maxFailureRatio && failures / leases < maxFailureRatio / 2) {
      return true;
    }
    const mean = conduct.heldMs / conduct.leases;
    const usual = median(others.map((each) => each.heldMs / each.leases));
    return mean > usual * slowFactor && mean > usual + slowMarginMs;
  }

  #eject(conduct: Conduct, nowMs: number): void {
    const { ejectMs, maxEjectMs } = this.#options;
    conduct.ejectedUntilMs = nowMs +
      Math.min(maxEjectMs, ejectMs * 2 ** Math.min(conduct.ejections, 30));
    conduct.ejections++;
  }
}

/** The middle value; the lower one of two. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >> 1]!;
}
