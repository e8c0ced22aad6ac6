// Every error class and code that Parley raises.

/** Codes of a broken frame. */
export type FramingErrorCode =
  | "ERR_FRAME_TOO_LARGE"
  | "ERR_FRAME_TRUNCATED"
  | "ERR_FRAME_MALFORMED";

/** Codes of a peer that broke a protocol above the framing. */
export type ProtocolErrorCode =
  | "ERR_CALL_FRAME"
  | "ERR_IPC_FRAME"
  | "ERR_IPC_PROVIDER"
  | "ERR_IPC_RECORD"
  | "ERR_MUX_FLAGS"
  | "ERR_MUX_FLOOD"
  | "ERR_MUX_INTERNAL"
  | "ERR_MUX_PEER_ERROR"
  | "ERR_MUX_STREAM_ID"
  | "ERR_MUX_STREAM_STATE"
  | "ERR_MUX_TYPE"
  | "ERR_MUX_VERSION"
  | "ERR_MUX_WINDOW"
  | "ERR_PROXY_HEADER"
  | "ERR_WIRE_FRAME"
  | "ERR_WIRE_SEGMENT"
  | "ERR_WIRE_VERSION";

/** Codes of an end that came before the work was done. */
export type ClosedErrorCode = "ERR_CLOSED" | "ERR_RESET" | "ERR_GOING_AWAY" | "ERR_SLOW_CONSUMER";

/** Codes of a wait that took too long. */
export type TimeoutErrorCode =
  | "ERR_ACQUIRE_TIMEOUT"
  | "ERR_CALL_TIMEOUT"
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

/**
 * Codes of a refusal or failure that Parley itself reports to a peer. A handler may report codes of
 * its own.
 */
export type RemoteErrorCode =
  | "ERR_AUTH"
  | "ERR_BUSY"
  | "ERR_CLOSED"
  | "ERR_CONTRACT_MISMATCH"
  | "ERR_FORBIDDEN"
  | "ERR_GOING_AWAY"
  | "ERR_HANDLER"
  | "ERR_NAME_TAKEN"
  | "ERR_NO_HANDLER"
  | "ERR_NO_PEER"
  | "ERR_QUEUE_FULL"
  | "ERR_TARGET_REFUSED"
  | "ERR_TARGET_TIMEOUT"
  | "ERR_UNKNOWN_CALL"
  | "ERR_VERSION";

/** Codes of a value that is not what both sides agreed on. */
export type SchemaErrorCode =
  | "ERR_INPUT_INVALID"
  | "ERR_MESSAGE_INVALID"
  | "ERR_MESSAGE_MALFORMED"
  | "ERR_OUTPUT_INVALID";

/**
 * Every code that Parley raises. A {@linkcode RemoteError} may hold a code beside these, which a
 * handler of the peer chose: see {@linkcode RemoteError.peerCode}.
 */
export type ParleyErrorCode =
  | FramingErrorCode
  | ProtocolErrorCode
  | ClosedErrorCode
  | TimeoutErrorCode
  | LimitErrorCode
  | AuthErrorCode
  | TlsErrorCode
  | AddressErrorCode
  | StatsErrorCode
  | SchemaErrorCode
  | RemoteErrorCode;

/**
 * The base of every error that Parley raises once I/O has begun. Match on `code`, never on the
 * text: the type of `code` is a union, so that the compiler finds a misspelt one.
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
  readonly code: ParleyErrorCode;

  /** Makes an error with a stable `code`; `options.cause` holds what led to it. */
  constructor(code: ParleyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Bytes that are no message under the framing in use, or a message that may not be sent under it. */
export class FramingError extends ParleyError {
  /** What went wrong, stable across versions. */
  declare readonly code: FramingErrorCode;
  /** Makes a framing error with its code. */
  constructor(code: FramingErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** The peer broke the protocol; the session with it has ended. */
export class ProtocolError extends ParleyError {
  /** What went wrong, stable across versions. */
  declare readonly code: ProtocolErrorCode;
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
  /** What went wrong, stable across versions. */
  declare readonly code: ClosedErrorCode;
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
  /** What went wrong, stable across versions. */
  declare readonly code: TimeoutErrorCode;
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
  /** What went wrong, stable across versions. */
  declare readonly code: LimitErrorCode;
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

/** The peer could not authenticate, or may not do what it asked for. The peer learns no more than that. */
export class AuthError extends ParleyError {
  /** What went wrong, stable across versions. */
  declare readonly code: AuthErrorCode;
  /** Makes an authentication or authorization error with its code. */
  constructor(code: AuthErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** A TLS session could not be set up, or a certificate cannot be used. */
export class TlsError extends ParleyError {
  /** What went wrong, stable across versions. */
  declare readonly code: TlsErrorCode;
  /** Makes a TLS error with its code. */
  constructor(code: TlsErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** An address cannot be listened on or connected to. */
export class AddressError extends ParleyError {
  /** What went wrong, stable across versions. */
  declare readonly code: AddressErrorCode;
  /** Makes an address error with its code. */
  constructor(code: AddressErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** The statistics hold no answer to the question. */
export class StatsError extends ParleyError {
  /** What went wrong, stable across versions. */
  declare readonly code: StatsErrorCode;
  /** Makes a statistics error with its code. */
  constructor(code: StatsErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  /** Where in the value it is: names of properties and indexes, from the outside in. */
  readonly path: readonly (string | number)[];
  /** What is wrong, as the schema says it. */
  readonly message: string;
}

/** What {@linkcode SchemaError} says beside its code. */
export interface SchemaErrorOptions extends ErrorOptions {
  /** What is wrong with the value, 16 issues at most. @default {none} */
  issues?: readonly SchemaIssue[] | undefined;
}

/**
 * A value does not fit its schema, or the bytes are no value: nothing else is lost, and the
 * connection goes on. The text names the path of the first issue, and never repeats the value.
 */
export class SchemaError extends ParleyError {
  /** What went wrong, stable across versions. */
  declare readonly code: SchemaErrorCode;
  /** What is wrong with the value, 16 issues at most; empty when the bytes are no value. */
  readonly issues: readonly SchemaIssue[];

  /** Makes an error of a value, with what is wrong with it. */
  constructor(code: SchemaErrorCode, message: string, options?: SchemaErrorOptions) {
    super(code, message, options);
    this.issues = options?.issues ?? [];
  }
}

/**
 * The peer's handler failed: its code and a short text, never a stack. A handler throws one to
 * choose what its peer learns.
 *
 * @example Matching on a code that a handler of the peer chose
 * ```ts
 * import { RemoteError } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * const error: unknown = new RemoteError("ERR_SOLD_OUT", "None is left");
 * assertEquals(error instanceof RemoteError && error.peerCode === "ERR_SOLD_OUT", true);
 * ```
 */
export class RemoteError extends ParleyError {
  /** Makes an error from the code and the text that the peer sent. */
  constructor(code: string, message: string, options?: ErrorOptions) {
    // The one code that the type does not know: callers that expect a peer's own codes read `peerCode`.
    super(code as ParleyErrorCode, message, options);
  }

  /**
   * The same as `code`, for codes of your own: those that handlers choose are not in
   * {@linkcode ParleyErrorCode}.
   */
  get peerCode(): string {
    return this.code;
  }
}
