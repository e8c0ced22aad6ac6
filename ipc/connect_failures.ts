// RepeatedFailure: which failures to connect end the attempts, and which must be confirmed.
import { isPermanentFailure } from "../client/permanent_failure.ts";
import { isUnfinishedKey } from "./endpoint/keys.ts";
import type { IpcReporter } from "./observe/reporter.ts";

/** Pause in ms before an attempt that must confirm a failure. */
const CONFIRM_DELAY_MS = 50;
/** Failures of one kind in a row that are believed. */
const MIN_CONFIRMATIONS = 3;
/**
 * Failures in a row after which those that are usual at every restart of the other process are
 * logged at `warn`.
 */
const PATIENCE = 10;

/** What follows from a failure. */
export interface Failure {
  /** What failed. */
  readonly error: Error;
  /** No more attempts. */
  readonly final: boolean;
  /** Pause in ms before the next attempt, in place of the usual one. */
  readonly delayMs?: number | undefined;
}

/** When an attempt failed. */
export interface FailedAttempt {
  /** No connection was made yet: the options may be what is wrong. */
  readonly first: boolean;
  /** The attempts end by a time limit. */
  readonly limited: boolean;
}

/** Failures that are usual while the other process starts, ends or starts again. */
const USUAL: ReadonlySet<string> = new Set([
  "ERR_CONNECT_REFUSED",
  "ERR_RESET",
  "ERR_GOING_AWAY",
  "ERR_CLOSED",
  "ERR_ADDRESS_IN_USE",
]);

/**
 * Faults of the system, its network or its limits that pass by themselves. A name that is not found
 * is not among them.
 */
const PASSING: ReadonlySet<string> = new Set([
  ...["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EAGAIN", "EINTR"],
  ...[
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ENETDOWN",
    "EHOSTDOWN",
    "ENETRESET",
    "EADDRNOTAVAIL",
    "ENONET",
    "ETIMEDOUT",
  ],
  ...["ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "EPIPE"],
]);

/** Counts failures in a row, and classifies each. One attempt at a time. */
export class RepeatedFailure {
  readonly #channel: string;
  readonly #reporter: IpcReporter;
  #code = "";
  #count = 0;
  #failures = 0;

  /** Begins without a failure. Failures that are followed by another attempt are logged. */
  constructor(channel: string, reporter: IpcReporter) {
    this.#channel = channel;
    this.#reporter = reporter;
  }

  /** Classifies a failure, and logs it unless it ends the attempts. */
  classify(error: unknown, when: FailedAttempt): Failure {
    const failure = classifyFailure(error, this, when);
    this.#failures++;
    if (failure.final) return failure;
    // A failure that must be confirmed is reported a moment later, or was nothing.
    const isUsual = failure.delayMs !== undefined || USUAL.has(codeOf(error));
    const level = isUsual && this.#failures < PATIENCE ? "debug" : "warn";
    this.#reporter.retry(this.#channel, failure.error, level);
    return failure;
  }

  /** Counts a failure that must be confirmed; `true` when it is certain. */
  confirms(code: string): boolean {
    this.#count = code === this.#code ? this.#count + 1 : 1;
    this.#code = code;
    return this.#count >= MIN_CONFIRMATIONS;
  }

  /** A failure of another kind came between: the count begins again. */
  interrupt(): void {
    this.#count = 0;
  }

  /** A connection was made. */
  clear(): void {
    this.#count = 0;
    this.#failures = 0;
  }
}

/**
 * Classifies why an attempt failed. A failure is final when no repetition heals it, as `Client`
 * decides ({@linkcode isFinal}), or when the place of the channel is not safe. Beyond that:
 *
 * - A server that is killed in the middle of a handshake looks like a server that refuses our
 *   secret. A server whose old client was just killed looks busy. Such failures must come three
 *   times in a row, and so must a connection that ends right after the handshake.
 * - Before there was a connection, a failure that a wrong option explains is final: an address that
 *   nothing answers at, a certificate that is not trusted, a file that is not there. After that the
 *   same failure comes from a busy server, a network that is down, or a file that is being
 *   replaced.
 */
function classifyFailure(error: unknown, failures: RepeatedFailure, when: FailedAttempt): Failure {
  const known = error instanceof Error ? error : new Error(String(error), { cause: error });
  const { first } = when;
  const confirm = (final: boolean): Failure => ({ error: known, final, delayMs: CONFIRM_DELAY_MS });
  const code = codeOf(error);
  switch (code) {
    case "ERR_AUTH":
      return confirm(failures.confirms(code));
    case "ERR_NOT_OUR_PROTOCOL":
    case "ERR_BUSY":
    case "ERR_RESET": // right after the handshake
      // After a loss the place is known to be that of our server, which may start again.
      if (first) return confirm(failures.confirms(code));
      return { error: known, final: false };
  }
  // Nothing else would end these attempts.
  if (first && !when.limited && !USUAL.has(code) && isPassing(error)) {
    return confirm(failures.confirms(code));
  }
  failures.interrupt();
  return { error: known, final: ends(error, code, first) };
}

/** Whether a failure that needs no confirmation ends the attempts. */
function ends(error: unknown, code: string, first: boolean): boolean {
  if (USUAL.has(code) || isPassing(error)) return false;
  if (isUnfinishedKey(error)) return first;
  if (isPermanentFailure(error) || error instanceof TypeError || error instanceof RangeError) {
    return true;
  }
  // A fault of the system has a cause; that a directory or a socket is not safe is our own
  // judgement.
  const isUnsafe = code === "ERR_ADDRESS_INVALID" && (error as Error).cause === undefined;
  return isUnsafe || code === "ERR_FORBIDDEN" || code === "ERR_SOCKET_PATH_TOO_LONG" || first;
}

/**
 * Whether the system failed in a way that passes: by the code of the error, or by that of its
 * cause.
 */
function isPassing(error: unknown): boolean {
  return PASSING.has(codeOf(error)) || (error instanceof Error && PASSING.has(codeOf(error.cause)));
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}
