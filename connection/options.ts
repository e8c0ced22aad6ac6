// Options of a connection: defaults, and the check of the user's values.
import { type Framing, type FramingLimits, lengthPrefixed, MAX_MESSAGE_BYTES } from "../framing.ts";
import { checkDurationMs, checkInteger } from "../options/check.ts";
import type { Resolved } from "../options/resolved.ts";

/** Options of every connection, accepted or dialled. All are finite unless said otherwise. */
export interface ConnectionOptions {
  /** How messages become bytes. @default {lengthPrefixed()} */
  framing?: Framing | undefined;
  /**
   * Most bytes in one message, either way, 1 to 1073741824.
   *
   * @default {1048576} the default of NATS: enough for most records, and little memory for each of
   * a thousand peers
   */
  maxMessageBytes?: number | undefined;
  /**
   * `send` waits while more than this many bytes are not yet in the kernel.
   *
   * @default {1048576} enough to keep a fast link busy
   */
  highWaterBytes?: number | undefined;
  /**
   * Above this many bytes that are not yet in the kernel, the connection ends with
   * `ERR_SLOW_CONSUMER`. Only a caller that sends without waiting reaches it.
   *
   * @default {8388608}
   */
  maxQueuedBytes?: number | undefined;
  /**
   * Most bytes that are read before a reader asks for them, 1024 to 1073741824. Beyond that the
   * peer has to wait.
   *
   * @default {65536} one full read
   */
  readAheadBytes?: number | undefined;
  /**
   * Longest time in ms in which the peer reads none of the bytes that wait for it; then `ERR_SLOW_CONSUMER`.
   *
   * The kernel accepts up to 4 MB more than the peer has read, and then nothing until a third of
   * that is gone: a steady peer must read 1.4 MB within this time. With `--allow-all` on Linux the
   * connection checks the kernel's queue, and 100 kB are enough.
   *
   * @default {60000} the same as nginx's `send_timeout`: a peer that reads 24 kB/s stays connected
   */
  writeTimeoutMs?: number | undefined;
  /**
   * Longest time in ms from a message's first byte to its last; then `ERR_READ_TIMEOUT`. 0 is off.
   *
   * @default {30000} one byte a minute is an attack
   */
  messageTimeoutMs?: number | undefined;
  /**
   * Longest time in ms without a byte either way; then `ERR_IDLE_TIMEOUT`. 0 is off.
   *
   * @default {300000} on servers, 0 on clients
   */
  idleTimeoutMs?: number | undefined;
  /**
   * Longest time in ms without a byte from the peer, whatever we send; then `ERR_IDLE_TIMEOUT`. 0
   * is off. It does not run while we do not read, because our reader pauses or a rate limit holds
   * the peer back, while a write of ours waits for the peer, or once the peer has ended its
   * direction.
   *
   * It finds a peer that vanished silently, which our own sends hide from `idleTimeoutMs`. The
   * price: the peer must send something more often than that, because a peer that only listens is
   * cut.
   *
   * @default {0} a peer may listen for ever
   */
  receiveTimeoutMs?: number | undefined;
  /**
   * Longest time in ms that `close()` takes to let calls end and to write what was sent; then the rest is
   * cut.
   *
   * @default {10000}
   */
  closeTimeoutMs?: number | undefined;
}

/** {@linkcode ConnectionOptions} with every default filled in. */
export type ResolvedConnectionOptions = Resolved<ConnectionOptions>;

/**
 * Fills in defaults and checks every number.
 *
 * @param action the beginning of error messages, such as `Cannot listen`
 * @throws {TypeError} when an option has the wrong type
 * @throws {RangeError} when a number is out of range
 */
export function resolveConnectionOptions(
  action: string,
  options: ConnectionOptions,
  defaultIdleTimeoutMs: number,
): ResolvedConnectionOptions {
  const resolved: ResolvedConnectionOptions = {
    framing: options.framing ?? lengthPrefixed(),
    maxMessageBytes: options.maxMessageBytes ?? 2 ** 20,
    highWaterBytes: options.highWaterBytes ?? 2 ** 20,
    maxQueuedBytes: options.maxQueuedBytes ?? Math.max(2 ** 23, options.highWaterBytes ?? 0),
    readAheadBytes: options.readAheadBytes ?? 65536,
    writeTimeoutMs: options.writeTimeoutMs ?? 60_000,
    messageTimeoutMs: options.messageTimeoutMs ?? 30_000,
    idleTimeoutMs: options.idleTimeoutMs ?? defaultIdleTimeoutMs,
    receiveTimeoutMs: options.receiveTimeoutMs ?? 0,
    closeTimeoutMs: options.closeTimeoutMs ?? 10_000,
  };
  const off = { allowOff: true };
  checkInteger(action, "maxMessageBytes", resolved.maxMessageBytes, 1, MAX_MESSAGE_BYTES);
  checkInteger(action, "highWaterBytes", resolved.highWaterBytes, 1, MAX_MESSAGE_BYTES);
  checkInteger(
    action,
    "maxQueuedBytes",
    resolved.maxQueuedBytes,
    resolved.highWaterBytes,
    2 * MAX_MESSAGE_BYTES,
  );
  checkInteger(action, "readAheadBytes", resolved.readAheadBytes, 1024, MAX_MESSAGE_BYTES);
  checkDurationMs(action, "writeTimeoutMs", resolved.writeTimeoutMs);
  checkDurationMs(action, "messageTimeoutMs", resolved.messageTimeoutMs, off);
  checkDurationMs(action, "idleTimeoutMs", resolved.idleTimeoutMs, off);
  checkDurationMs(action, "receiveTimeoutMs", resolved.receiveTimeoutMs, off);
  checkDurationMs(action, "closeTimeoutMs", resolved.closeTimeoutMs);
  checkFraming(action, resolved.framing);
  // A framing may have limits of its own to compare with: find out now, not with the first connection.
  resolved.framing.decoder(resolved);
  return resolved;
}

/**
 * Checks that a value is a framing.
 *
 * @throws {TypeError} when it is none
 */
export function checkFraming(action: string, framing: unknown): void {
  const { decoder, encoder } = (framing ?? {}) as Partial<Framing>;
  if (typeof decoder === "function" && typeof encoder === "function") return;
  throw new TypeError(
    `${action}: "framing" must be a Framing such as lengthPrefixed(), got ${typeof framing}`,
  );
}

/**
 * Checks what the framing of a connection is changed to.
 *
 * @throws {TypeError | RangeError} when the framing or its limit is wrong
 */
export function checkFramingChange(framing: unknown, { maxMessageBytes }: FramingLimits): void {
  const action = "Cannot change the framing";
  checkFraming(action, framing);
  checkInteger(action, "maxMessageBytes", maxMessageBytes, 1, MAX_MESSAGE_BYTES);
}
