// RepeatedFailure: which failures to connect end the trying, and which may be the doing of a process that was just killed.
import { isPermanentFailure } from "../client/permanent_failure.ts";
import { isUnfinishedKey } from "./endpoint/keys.ts";
import type { IpcReporter } from "./observe/reporter.ts";

/** Pause before a suspicious failure is confirmed, in ms. */
const CONFIRM_DELAY_MS = 50;
/** How often the same suspicion must be confirmed in a row. */
const MAX_SUSPICIONS = 3;
/** Failures in a row after which those that every restart of the other process makes are worth a line at `warn`. */
const PATIENCE = 10;

/** What is to follow from a failure. */
export interface Failure {
  /** What failed. */
  readonly error: Error;
  /** No more attempts. */
  readonly final: boolean;
  /** Pause before the next, where the usual one is not meant. */
  readonly delayMs?: number | undefined;
}

/** When an attempt failed. */
export interface FailedAttempt {
  /** No connection was made yet: the options may be what is wrong. */
  readonly first: boolean;
  /** The attempts end by a time limit. */
  readonly limited: boolean;
}

/** Failures that are as they should be while the other process starts, ends or starts again. */
const USUAL: ReadonlySet<string> = new Set([
  "ERR_CONNECT_REFUSED",
  "ERR_RESET",
  "ERR_GOING_AWAY",
  "ERR_CLOSED",
  "ERR_ADDRESS_IN_USE",
]);

/** Faults of the system, of its network or of its limits, that pass by themselves. A name that is not found is not among them. */
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

/** Counts failures in a row, and judges each. */
export class RepeatedFailure {
  readonly #channel: string;
  readonly #reporter: IpcReporter;
  #code = "";
  #count = 0;
  #failures = 0;

  /** Makes one that has seen nothing; failures that are followed by another attempt are logged. */
  constructor(channel: string, reporter: IpcReporter) {
    this.#channel = channel;
    this.#reporter = reporter;
  }

  /** Judges a failure, and logs it unless it ends the attempts. */
  classify(error: unknown, when: FailedAttempt): Failure {
    const failure = classifyFailure(error, this, when);
    this.#failures++;
    if (failure.final) return failure;
    // What is about to be confirmed is reported a moment later, or was nothing.
    const isUsual = failure.delayMs !== undefined || USUAL.has(codeOf(error));
    const level = isUsual && this.#failures < PATIENCE ? "debug" : "warn";
    this.#reporter.retry(this.#channel, failure.error, level);
    return failure;
  }

  /** Counts a suspicious failure; `true` when it is certain now. */
  confirms(code: string): boolean {
    this.#count = code === this.#code ? this.#count + 1 : 1;
    this.#code = code;
    return this.#count >= MAX_SUSPICIONS;
  }

  /** A failure of another kind came between: what was suspected is not certain. */
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
 * Judges why an attempt failed. Final is what no repetition heals, by the judgement of `Client` ({@linkcode isPermanentFailure}), and a place that
 * is not safe. Beyond that:
 *
 * - A server that is killed in the middle of a handshake looks like one that refuses our secret, and one whose old client was just
 *   killed looks busy: such failures must come three times in a row to be believed. So must a connection that ends right after the
 *   handshake.
 * - Before there was a connection, a failure that a wrong option explains is final: an address that nothing answers at, a certificate
 *   that is not trusted, a file that is not there. After that the same failure comes from a server that has its hands full, a network
 *   that is down, or a file that is being replaced.
 */
function classifyFailure(error: unknown, suspicion: RepeatedFailure, when: FailedAttempt): Failure {
  const known = error instanceof Error ? error : new Error(String(error), { cause: error });
  const { first } = when;
  const suspect = (final: boolean): Failure => ({ error: known, final, delayMs: CONFIRM_DELAY_MS });
  const code = codeOf(error);
  switch (code) {
    case "ERR_AUTH":
      return suspect(suspicion.confirms(code));
    case "ERR_NOT_OUR_PROTOCOL":
    case "ERR_BUSY":
    case "ERR_RESET": // right after the handshake
      // After a loss we know that it was ours, and may be again.
      if (first) return suspect(suspicion.confirms(code));
      return { error: known, final: false };
  }
  // Nothing else would end these attempts.
  if (first && !when.limited && !USUAL.has(code) && isPassing(error)) {
    return suspect(suspicion.confirms(code));
  }
  suspicion.interrupt();
  return { error: known, final: ends(error, code, first) };
}

/** Whether a failure that needs no confirmation ends the attempts. */
function ends(error: unknown, code: string, first: boolean): boolean {
  if (USUAL.has(code) || isPassing(error)) return false;
  if (isUnfinishedKey(error)) return first;
  if (isPermanentFailure(error) || error instanceof TypeError || error instanceof RangeError) return true;
  // A fault of the system has a cause; that a directory or a socket is not safe is our own judgement.
  const isUnsafe = code === "ERR_ADDRESS_INVALID" && (error as Error).cause === undefined;
  return isUnsafe || code === "ERR_FORBIDDEN" || code === "ERR_SOCKET_PATH_TOO_LONG" || first;
}

/** Whether the system failed in a way that passes, as it said or as our error says that it said. */
function isPassing(error: unknown): boolean {
  return PASSING.has(codeOf(error)) || (error instanceof Error && PASSING.has(codeOf(error.cause)));
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}
