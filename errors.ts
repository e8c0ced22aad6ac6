// Every error class and code that Parley raises.

/** Codes of a broken frame. */
export type FramingErrorCode =
  | "ERR_FRAME_TOO_LARGE"
  | "ERR_FRAME_TRUNCATED"
  | "ERR_FRAME_MALFORMED";

/** Codes of a peer that broke a protocol above the framing. */
export type ProtocolErrorCode =
  | `ERR_MUX_${string}`
  | `ERR_WIRE_${string}`
  | `ERR_IPC_${string}`
  | "ERR_PROXY_HEADER";

/** Codes of an end that came before the work was done. */
export type ClosedErrorCode = "ERR_CLOSED" | "ERR_RESET" | "ERR_GOING_AWAY" | "ERR_SLOW_CONSUMER";

/** Codes of a wait that took too long. */
export type TimeoutErrorCode =
  | "ERR_ACQUIRE_TIMEOUT"
  | "ERR_CONNECT_TIMEOUT"
  | "ERR_HANDSHAKE_TIMEOUT"
  | "ERR_IDLE_TIMEOUT"
  | "ERR_KEEPALIVE_TIMEOUT"
  | "ERR_READ_TIMEOUT"
  | "ERR_WRITE_TIMEOUT"
  | "ERR_DRAIN_TIMEOUT";

/** Codes of a limit that was reached. */
export type LimitErrorCode =
  | "ERR_TOO_MANY_CONNECTIONS"
  | "ERR_TOO_MANY_STREAMS"
  | "ERR_QUEUE_FULL"
  | "ERR_RATE_LIMITED";

/** Codes of a refused identity or action. */
export type AuthErrorCode = "ERR_AUTH" | "ERR_FORBIDDEN";

/** Codes of a TLS session that could not be set up. */
export type TlsErrorCode =
  | "ERR_TLS_HANDSHAKE"
  | "ERR_CERT_EXPIRED"
  | "ERR_CERT_EXPIRING"
  | "ERR_CERT_KEY_MISMATCH"
  | "ERR_CERT_MALFORMED"
  | "ERR_CERT_UNTRUSTED"
  | "ERR_CERT_WRONG_HOST";

/** Codes of an address that cannot be used. */
export type AddressErrorCode =
  | "ERR_ADDRESS_IN_USE"
  | "ERR_ADDRESS_INVALID"
  | "ERR_CONNECT_REFUSED"
  | "ERR_NO_BACKEND"
  | "ERR_NOT_OUR_PROTOCOL"
  | "ERR_SOCKET_PATH_TOO_LONG";

/** Codes of a question that the statistics cannot answer. */
export type StatsErrorCode = "ERR_NO_STATS_FOR_DAY";

/** Every code that {@linkcode ParleyError.code} can hold, but those a peer chose. */
export type ParleyErrorCode =
  | FramingErrorCode
  | ProtocolErrorCode
  | ClosedErrorCode
  | TimeoutErrorCode
  | LimitErrorCode
  | AuthErrorCode
  | TlsErrorCode
  | AddressErrorCode
  | StatsErrorCode;

/**
 * The base of every error that Parley raises once I/O has begun. Match on `code`, never on the text.
 *
 * A caller's mistake is a `TypeError` or a `RangeError` instead, thrown before any I/O.
 *
 * @example Matching on the code
 * ```ts
 * import { FramingError, ParleyError } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * const error: unknown = new FramingError("ERR_FRAME_TRUNCATED", "Cannot read the message");
 * assertEquals(error instanceof ParleyError && error.code, "ERR_FRAME_TRUNCATED");
 * ```
 */
export class ParleyError extends Error {
  /** What went wrong, stable across versions. */
  readonly code: string;

  /** Makes an error with a stable `code`; `options.cause` holds what led to it. */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Bytes that are no message under the framing in use, or a message that may not be sent under it. */
export class FramingError extends ParleyError {
  /** Makes a framing error with its code. */
  constructor(code: FramingErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** The peer broke the protocol; the session with it has ended. */
export class ProtocolError extends ParleyError {
  /** Makes a protocol error with its code. */
  constructor(code: ProtocolErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** Fields of a {@linkcode ClosedError} beside its code. */
export interface ClosedErrorOptions extends ErrorOptions {
  /** Bytes that were accepted for sending and never handed to the kernel. @default {0} */
  unsentBytes?: number | undefined;
}

/** The connection or stream ended before the work on it was done. */
export class ClosedError extends ParleyError {
  /** Bytes that were accepted for sending and never handed to the kernel. */
  readonly unsentBytes: number;

  /** Makes an error of an early end, with what was left unsent. */
  constructor(code: ClosedErrorCode, message: string, options?: ClosedErrorOptions) {
    super(code, message, options);
    this.unsentBytes = options?.unsentBytes ?? 0;
  }
}

/** Fields of a {@linkcode TimeoutError} beside its code. */
export interface TimeoutErrorOptions extends ErrorOptions {
  /** Connections that were cut because the time ran out. @default {0} */
  cutConnections?: number | undefined;
  /** Bytes received or accepted for sending that were cut with them. @default {0} */
  cutBytes?: number | undefined;
}

/** A wait took longer than it was allowed to. */
export class TimeoutError extends ParleyError {
  /** Connections that were cut because the time ran out. */
  readonly cutConnections: number;
  /** Bytes received or accepted for sending that were cut with them. */
  readonly cutBytes: number;

  /** Makes a timeout error, with what was cut. */
  constructor(code: TimeoutErrorCode, message: string, options?: TimeoutErrorOptions) {
    super(code, message, options);
    this.cutConnections = options?.cutConnections ?? 0;
    this.cutBytes = options?.cutBytes ?? 0;
  }
}

/** What {@linkcode LimitError} says beside its code. */
export interface LimitErrorOptions extends ErrorOptions {
  /** Messages that had arrived and were dropped. @default {0} */
  droppedMessages?: number | undefined;
  /** Bytes of those messages. @default {0} */
  droppedBytes?: number | undefined;
}

/** A limit was reached; the work was not begun. */
export class LimitError extends ParleyError {
  /** Messages that had arrived and were dropped. */
  readonly droppedMessages: number;
  /** Bytes of those messages. */
  readonly droppedBytes: number;

  /** Makes a limit error with its code, and with what was dropped. */
  constructor(code: LimitErrorCode, message: string, options?: LimitErrorOptions) {
    super(code, message, options);
    this.droppedMessages = options?.droppedMessages ?? 0;
    this.droppedBytes = options?.droppedBytes ?? 0;
  }
}

/** The peer is not who it must be, or may not do what it asked for. The peer learns no more than that. */
export class AuthError extends ParleyError {
  /** Makes an authentication or authorization error with its code. */
  constructor(code: AuthErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** A TLS session could not be set up, or a certificate cannot be used. */
export class TlsError extends ParleyError {
  /** Makes a TLS error with its code. */
  constructor(code: TlsErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** An address cannot be listened on or connected to. */
export class AddressError extends ParleyError {
  /** Makes an address error with its code. */
  constructor(code: AddressErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** The statistics hold no answer to the question. */
export class StatsError extends ParleyError {
  /** Makes a statistics error with its code. */
  constructor(code: StatsErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** The peer's handler failed: its code and a short text, never a stack. */
export class RemoteError extends ParleyError {
  /** Makes an error from the code and the text that the peer sent. */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}
