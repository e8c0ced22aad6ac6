// Suspicion: which failures to connect end the trying, and which may be the doing of a process that was just killed.
import { ParleyError } from "../errors.ts";

/** Pause before a suspicious failure is confirmed, in ms. */
const CONFIRM_DELAY_MS = 50;
/** How often the same suspicion must be confirmed in a row. */
const MAX_SUSPICIONS = 3;

/** What is to follow from a failure. */
export interface Failure {
  /** What failed. */
  readonly error: Error;
  /** No more attempts. */
  readonly final: boolean;
  /** Pause before the next, where the usual one is not meant. */
  readonly delayMs?: number;
}

/** Counts suspicious failures in a row. */
export class Suspicion {
  #code = "";
  #count = 0;

  /** Counts a failure; `true` when it is certain now. */
  confirms(code: string): boolean {
    this.#count = code === this.#code ? this.#count + 1 : 1;
    this.#code = code;
    return this.#count >= MAX_SUSPICIONS;
  }

  /** A connection was made. */
  clear(): void {
    this.#count = 0;
  }
}

/**
 * Judges why an attempt failed. A server that is killed in the middle of a handshake looks like one that refuses our secret, and one
 * whose old client was just killed looks busy: such failures must come three times in a row to be believed.
 */
export function judgeFailure(error: unknown, suspicion: Suspicion, { first }: { first: boolean }): Failure {
  if (!(error instanceof ParleyError)) return { error: error as Error, final: true };
  switch (error.code) {
    case "ERR_AUTH":
      return { error, final: suspicion.confirms(error.code), delayMs: CONFIRM_DELAY_MS };
    case "ERR_NOT_OUR_PROTOCOL":
    case "ERR_BUSY":
      // After a loss we know that it was ours, and may be again.
      return {
        error,
        final: suspicion.confirms(error.code) && first,
        ...(first ? { delayMs: CONFIRM_DELAY_MS } : {}),
      };
    case "ERR_ADDRESS_INVALID":
    case "ERR_FORBIDDEN":
    case "ERR_SOCKET_PATH_TOO_LONG":
      return { error, final: true };
    case "ERR_CONNECT_REFUSED":
    case "ERR_RESET":
    case "ERR_GOING_AWAY":
    case "ERR_CLOSED":
    case "ERR_ADDRESS_IN_USE":
      return { error, final: false };
    default:
      // A deadline, or TLS: at first it tells of a wrong address, later of a server that has its hands full.
      return { error, final: first };
  }
}
