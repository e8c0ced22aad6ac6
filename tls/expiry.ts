// ExpiryWatch: reports before a certificate expires, and again when it has.
import { TlsError } from "../errors.ts";
import { observeCounters, telemetryOn } from "../stats/telemetry/telemetry.ts";
import type { CredentialSource } from "./handshake/options.ts";
import type { WatchClock } from "./watch.ts";

const DAY_MS = 86_400_000;

/**
 * When to report that a certificate expires: this long before, or, for a certificate with a shorter
 * life, when this part of its life is left. Else a certificate that is renewed each day would cause
 * a warning each day.
 */
const WARNINGS: readonly (readonly [ms: number, ofLife: number])[] = [[14 * DAY_MS, 1 / 3], [
  3 * DAY_MS,
  1 / 10,
], [0, 0]];

/**
 * Longest time between two looks at the clock, in ms: it may be set, machines sleep, and timers
 * take no more than 24 days.
 */
const LOOK_MS = DAY_MS / 2;

/** The current certificate that expires first. */
export interface CertificateEnd {
  /** Its subject, as one line. */
  readonly subject: string;
  /** First moment of validity. */
  readonly notBefore: Date;
  /** Last moment of validity. */
  readonly notAfter: Date;
}

/** Options of {@linkcode ExpiryWatch}. */
export interface ExpiryWatchOptions {
  /** Returns the current certificate that expires first. */
  readonly current: () => CertificateEnd;
  /** Source of time. */
  readonly clock: WatchClock;
  /**
   * Called with `ERR_CERT_EXPIRING` 14 and 3 days before the end, and with `ERR_CERT_EXPIRED` when
   * it has come.
   */
  readonly onEnding: (error: TlsError) => void;
}

/** Watches when the current certificates expire. Its timer does not keep the process alive. */
export class ExpiryWatch {
  readonly #options: ExpiryWatchOptions;
  #cancel: () => void = () => {};
  #unobserve: () => void = () => {};
  #notAfterMs = NaN;
  /** Number of warnings that were due and reported. */
  #given = 0;
  #isClosed = false;

  /** Begins to watch. Warnings that are due are reported at once, in a task of their own. */
  constructor(options: ExpiryWatchOptions) {
    this.#options = options;
    this.renew();
  }

  /** Looks at the current certificate. */
  renew(): void {
    if (this.#isClosed) return;
    const { subject, notAfter } = this.#options.current();
    if (notAfter.getTime() === this.#notAfterMs) return;
    this.#notAfterMs = notAfter.getTime();
    this.#given = 0;
    this.#cancel();
    this.#unobserve();
    if (telemetryOn()) this.#unobserve = this.#observe(subject);
    this.#plan(0);
  }

  /** Ends the watching. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancel();
    this.#unobserve();
  }

  #observe(subject: string): () => void {
    const { clock } = this.#options;
    const labels = { "parley.certificate.subject": subject };
    return observeCounters(
      labels,
      () => ({ certificateRemainingS: (this.#notAfterMs - clock.now()) / 1000 }),
    );
  }

  #plan(delayMs: number): void {
    this.#cancel = this.#options.clock.schedule(() => {
      this.#look();
      return Promise.resolve();
    }, delayMs);
  }

  #look(): void {
    if (this.#isClosed) return;
    const { current, clock, onEnding } = this.#options;
    const end = current();
    const now = clock.now();
    const due =
      WARNINGS.filter(([ms, ofLife]) => leadMs(end, ms, ofLife) >= end.notAfter.getTime() - now)
        .length;
    if (due > this.#given) {
      this.#given = due;
      onEnding(endingError(end, now));
    }
    const next = WARNINGS[due];
    // An expired certificate needs no further look: a new one comes by renew().
    if (next === undefined) return;
    const untilMs = end.notAfter.getTime() - leadMs(end, ...next) - now;
    this.#plan(Math.min(LOOK_MS, Math.max(0, untilMs)));
  }
}

/** Returns how long the server's certificate that expires first has left; nothing without TLS. */
export function certificateStats(
  credentials: CredentialSource | null,
): {
  readonly certificate?: { readonly notAfterMs: number; readonly remainingMs: number } | undefined;
} {
  const notAfter = credentials?.notAfter;
  if (notAfter === undefined) return {};
  const notAfterMs = notAfter.getTime();
  return { certificate: Object.freeze({ notAfterMs, remainingMs: notAfterMs - Date.now() }) };
}

/**
 * Returns how long before the end a warning is due, in ms; below 0 for the end itself, because a
 * certificate is valid in its last ms.
 */
function leadMs({ notBefore, notAfter }: CertificateEnd, ms: number, ofLife: number): number {
  if (ms === 0) return -1;
  return Math.min(ms, (notAfter.getTime() - notBefore.getTime()) * ofLife);
}

function endingError({ subject, notAfter }: CertificateEnd, now: number): TlsError {
  const shown = `The certificate ${JSON.stringify(subject.slice(0, 256))}`;
  const leftMs = notAfter.getTime() - now;
  if (leftMs < 0) {
    const text =
      `${shown} has expired at ${notAfter.toISOString()}: peers refuse it until a new one is in force`;
    return new TlsError("ERR_CERT_EXPIRED", text);
  }
  const left = leftMs >= DAY_MS
    ? `${Math.floor(leftMs / DAY_MS)} days`
    : `${Math.floor(leftMs / 60_000)} minutes`;
  const text =
    `${shown} expires at ${notAfter.toISOString()}, in ${left}: put a new one in its place before that`;
  return new TlsError("ERR_CERT_EXPIRING", text);
}
