// Options of servers, clients and pairs, their defaults, and their check before any I/O.
import {
  checkBoolean,
  checkDurationMs,
  checkFunction,
  checkInteger,
  checkText,
} from "../options/check.ts";
import { checkOptionNames } from "../options/names.ts";
import { ClosedError } from "../errors.ts";
import type { Logger } from "../log/logger.ts";
import { checkName, type IpcAddressOptions } from "./endpoint/endpoint.ts";
import { MAX_SECRETS, SecretKey } from "./endpoint/keys.ts";
import type { LinkLimits } from "./link/options.ts";
import { type IpcErrorHandler, IpcReporter, resolveLogger } from "./observe/reporter.ts";
import { MESSAGE_LIMITS, RECORD_LIMITS } from "./secure/hello.ts";
import type { EncryptionProvider } from "./secure/provider_link.ts";

/** Options that servers, clients and pairs have in common. All are finite unless said otherwise. */
export interface IpcCommonOptions extends IpcAddressOptions {
  /**
   * The secret that both sides know, or several while one is being replaced: a server accepts any
   * of them, up to four; a client proves the first. A text is a passphrase of 16 characters or
   * more; see {@linkcode SecretKey.fromPassphrase}.
   *
   * @default {a key file beside the socket, made by the server, readable by this user only}
   */
  secret?: SecretKey | readonly SecretKey[] | string | undefined;
  /**
   * Connect with any process that can reach the address, without a secret on either side.
   *
   * @default {false}
   */
  insecureAnonymous?: boolean | undefined;
  /**
   * `false` for frames in the clear, or a cipher of your own. Both sides need the same.
   *
   * @default {true}
   */
  encryption?: boolean | EncryptionProvider | undefined;
  /**
   * Bytes that this side accepts in a message, 1024 to 1073741824. The handshake announces the
   * limit to the other side, which keeps it.
   *
   * @default {3145728} like gipc
   */
  maxMessageBytes?: number | undefined;
  /**
   * Plaintext bytes that this side accepts in an encrypted record, 1024 to 1048576.
   *
   * @default {132096} two messages of 64 KiB with their heads; one processor seals that in 0.3 ms
   */
  maxRecordBytes?: number | undefined;
  /** Longest time in ms for a handshake. @default {5000} */
  handshakeTimeoutMs?: number | undefined;
  /** Longest wait in ms for the answer to a query. @default {5000} like simple-ipc */
  queryTimeoutMs?: number | undefined;
  /**
   * Silence in ms after which the other side is asked whether it lives; 0 is off.
   *
   * @default {15000, in a pair half of `queryTimeoutMs`}
   */
  keepaliveMs?: number | undefined;
  /**
   * Time in ms that the other side has for a sign of life; then `ERR_KEEPALIVE_TIMEOUT`.
   *
   * @default {10000}
   */
  keepaliveTimeoutMs?: number | undefined;
  /**
   * Longest time in ms in which the other side takes none of the bytes that wait for it; then
   * `ERR_SLOW_CONSUMER`.
   *
   * @default {10000} like NATS
   */
  writeTimeoutMs?: number | undefined;
  /** Longest time in ms from the first byte of a message to its last; 0 is off. @default {30000} */
  messageTimeoutMs?: number | undefined;
  /**
   * Longest time in ms that `close()` takes to end in order; then the rest is cut.
   *
   * @default {10000}
   */
  closeTimeoutMs?: number | undefined;
  /** A write waits while more than this many bytes are not in the kernel. @default {1048576} */
  highWaterBytes?: number | undefined;
  /**
   * Bytes that are not in the kernel above which the connection ends with `ERR_SLOW_CONSUMER`. A
   * writer that waits for each write never gets there.
   *
   * @default {8388608}
   */
  maxQueuedBytes?: number | undefined;
  /**
   * Bytes of messages that are received before they are read; then the other side must wait.
   *
   * @default {262144}
   */
  readAheadBytes?: number | undefined;
  /**
   * Queries of this side that are sent and not answered, of 4 MiB together; others wait.
   *
   * @default {1024}
   */
  maxQueriesInFlight?: number | undefined;
  /** Query handlers of one connection that run at a time; other queries wait. @default {256} */
  maxQueriesRunning?: number | undefined;
  /**
   * Called with errors that have no caller: failed handshakes, handlers that threw. A `RemoteError`
   * that a query handler throws is its answer, and does not come here.
   *
   * @default {they are logged}
   */
  onError?: IpcErrorHandler | undefined;
  /** Where to log. @default {standard error, from the level in `PARLEY_LOG` on, else `warn`} */
  logger?: Logger | undefined;
}

/** What every handshake of a server, a client or a pair has in common. */
export interface HandshakeOptions {
  /** The name of the channel as UTF-8. */
  readonly context: Uint8Array;
  readonly encryption: boolean | EncryptionProvider;
  readonly maxRecordBytes: number;
  readonly maxMessageBytes: number;
}

/** {@linkcode IpcCommonOptions} with every default filled in, checked. */
export interface ResolvedIpcOptions {
  readonly action: string;
  readonly address: IpcAddressOptions;
  readonly handshake: HandshakeOptions;
  readonly anonymous: boolean;
  readonly secret: readonly SecretKey[] | string | undefined;
  readonly handshakeTimeoutMs: number;
  readonly queryTimeoutMs: number;
  readonly link: LinkLimits;
  readonly reporter: IpcReporter;
}

/**
 * Fills in defaults and checks everything that can be checked without I/O.
 *
 * @throws {TypeError} when an option has the wrong type, or contradicts another
 * @throws {RangeError} when a number is out of range
 */
export function resolveIpcOptions(
  action: string,
  options: IpcCommonOptions,
  defaults: { keepaliveMs?: ((queryTimeoutMs: number) => number) | undefined } = {},
): ResolvedIpcOptions {
  checkName(action, options.name);
  const anonymous = options.insecureAnonymous ?? false;
  checkBoolean(action, "insecureAnonymous", anonymous);
  const { encryption = true } = options;
  if (typeof encryption !== "boolean") checkProvider(action, encryption);
  const secret = checkSecret(action, options.secret);
  if (anonymous && secret !== undefined) {
    throw new TypeError(`${action}: "insecureAnonymous" excludes "secret"`);
  }
  if (options.onError !== undefined) checkFunction(action, "onError", options.onError);
  const queryTimeoutMs = checkDurationMs(action, "queryTimeoutMs", options.queryTimeoutMs ?? 5000);
  const maxMessageBytes = options.maxMessageBytes ?? 3_145_728;
  checkInteger(action, "maxMessageBytes", maxMessageBytes, MESSAGE_LIMITS.min, MESSAGE_LIMITS.max);
  const maxRecordBytes = options.maxRecordBytes ?? 129 * 1024;
  checkInteger(action, "maxRecordBytes", maxRecordBytes, RECORD_LIMITS.min, RECORD_LIMITS.max);
  const keepaliveMs = options.keepaliveMs ?? defaults.keepaliveMs?.(queryTimeoutMs) ?? 15_000;
  return {
    action,
    address: options,
    handshake: {
      context: new TextEncoder().encode(options.name),
      encryption,
      maxRecordBytes,
      maxMessageBytes,
    },
    anonymous,
    secret,
    handshakeTimeoutMs: checkDurationMs(
      action,
      "handshakeTimeoutMs",
      options.handshakeTimeoutMs ?? 5000,
    ),
    queryTimeoutMs,
    link: resolveLimits(action, { ...options, keepaliveMs, maxMessageBytes }),
    reporter: new IpcReporter(options.onError, resolveLogger(action, options.logger)),
  };
}

function resolveLimits(
  action: string,
  options: IpcCommonOptions & { maxMessageBytes: number },
): LinkLimits {
  const off = { allowOff: true };
  const highWaterBytes = checkInteger(
    action,
    "highWaterBytes",
    options.highWaterBytes ?? 2 ** 20,
    1,
    2 ** 30,
  );
  const maxQueuedBytes = options.maxQueuedBytes ?? Math.max(2 ** 23, highWaterBytes);
  return {
    channel: options.name,
    maxMessageBytes: options.maxMessageBytes,
    highWaterBytes,
    maxQueuedBytes: checkInteger(action, "maxQueuedBytes", maxQueuedBytes, highWaterBytes, 2 ** 31),
    readAheadBytes: checkInteger(
      action,
      "readAheadBytes",
      options.readAheadBytes ?? 2 ** 18,
      1024,
      2 ** 30,
    ),
    maxQueriesInFlight: checkInteger(
      action,
      "maxQueriesInFlight",
      options.maxQueriesInFlight ?? 1024,
      1,
      2 ** 20,
    ),
    maxQueriesRunning: checkInteger(
      action,
      "maxQueriesRunning",
      options.maxQueriesRunning ?? 256,
      1,
      2 ** 20,
    ),
    keepaliveMs: checkDurationMs(action, "keepaliveMs", options.keepaliveMs, off),
    keepaliveTimeoutMs: checkDurationMs(
      action,
      "keepaliveTimeoutMs",
      options.keepaliveTimeoutMs ?? 10_000,
    ),
    writeTimeoutMs: checkDurationMs(action, "writeTimeoutMs", options.writeTimeoutMs ?? 10_000),
    messageTimeoutMs: checkDurationMs(
      action,
      "messageTimeoutMs",
      options.messageTimeoutMs ?? 30_000,
      off,
    ),
    closeTimeoutMs: checkDurationMs(action, "closeTimeoutMs", options.closeTimeoutMs ?? 10_000),
  };
}

function checkSecret(action: string, secret: unknown): readonly SecretKey[] | string | undefined {
  if (secret === undefined) return undefined;
  if (typeof secret === "string") {
    if ([...secret].length < 16) {
      throw new RangeError(`${action}: a "secret" text must have 16 characters or more`);
    }
    return secret;
  }
  const keys: unknown[] = Array.isArray(secret) ? secret : [secret];
  if (keys.length < 1 || keys.length > MAX_SECRETS) {
    throw new RangeError(
      `${action}: "secret" must be 1 to ${MAX_SECRETS} keys, there are ${keys.length}`,
    );
  }
  if (!keys.every((key) => key instanceof SecretKey)) {
    throw new TypeError(`${action}: "secret" must be a SecretKey, some of them, or a passphrase`);
  }
  return keys as SecretKey[];
}

function checkProvider(action: string, provider: EncryptionProvider): void {
  if (typeof provider !== "object" || provider === null) {
    throw new TypeError(
      `${action}: "encryption" must be true, false or an EncryptionProvider, it is ${typeof provider}`,
    );
  }
  checkText(action, "encryption.name", provider.name, 1, 64);
  checkFunction(action, "encryption.seal", provider.seal);
  checkFunction(action, "encryption.open", provider.open);
}

/** Names of the options that every `close` has. */
const CLOSE_NAMES = { timeoutMs: true } as const;

/** Names of the options of a `close` that may turn a client out. */
export const CLIENT_CLOSE_NAMES = { timeoutMs: true, forGood: true } as const;

/** Refuses a `close` whose options are wrong; nothing is closed then. */
export function refuseClose(
  options: { readonly timeoutMs?: number | undefined; readonly forGood?: boolean | undefined },
  names: Readonly<Record<string, true>> = CLOSE_NAMES,
): Promise<never> | null {
  const { timeoutMs, forGood } = options;
  try {
    checkOptionNames("Cannot close", options, names);
    if (timeoutMs !== undefined) {
      checkDurationMs("Cannot close", "timeoutMs", timeoutMs, { minMs: 0 });
    }
    if (forGood !== undefined) checkBoolean("Cannot close", "forGood", forGood);
    return null;
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Returns what waits reject with after an abort: the reason itself when it is an error. */
export function abortError(reason: unknown): Error {
  if (reason instanceof Error) return reason;
  return new ClosedError("ERR_CLOSED", "Cannot go on: it was aborted on this side", {
    cause: reason,
  });
}
