// Options of Client: what they are, their defaults, and their check before any I/O.
import { checkBoolean, checkDurationMs, checkFunction, checkLogger } from "../options/check.ts";
import { EventLog } from "../log/events.ts";
import type { Logger } from "../log/logger.ts";
import { Backoff, type ReconnectOptions } from "../async/backoff.ts";
import { type ConnectOptions, resolveConnectOptions, type ResolvedConnectOptions } from "./options.ts";
import type { OnConnect } from "./trial.ts";

/** Options of {@linkcode Client}. */
export interface ClientOptions<Data = unknown> extends ConnectOptions<Data> {
  /** When to dial again; `false` closes the client when the link is lost or the first attempt fails. */
  reconnect?: ReconnectOptions | false | undefined;
  /**
   * Prepares each new link, such as by a login: called with the link before it counts as connected, and awaited. What it sends on
   * the link goes out before all that waits for one, and it may receive from the link; {@linkcode Client.send} waits until it is
   * done. When it throws or rejects, the attempt has failed by that error, and an `AuthError` ends the client. It has what is left
   * of `timeoutMs` after dialling; then, and when the client is closed, the link is aborted, and `link.signal` with it.
   *
   * @default {nothing}
   */
  onConnect?: OnConnect<Data> | undefined;
  /**
   * Time in ms that a new link on which the server says nothing must live before it counts as connected and takes messages; what
   * the server says ends it at once. It lasts twice as long as dialling took where that is more, up to 1000 ms. So messages are
   * never handed to a server that is full, to a balancer without a server, or to one that refuses our certificate after
   * the handshake: these end a link at once. 0 sends without waiting.
   *
   * @default {50} a person does not notice it, and a refusal on the same machine or network comes sooner
   */
  trialMs?: number | undefined;
  /** Starts statistics over with each link. @default {false} */
  dropOldStats?: boolean | undefined;
  /**
   * Bytes of messages that wait for a link or for room on it; above, `send` rejects with `ERR_QUEUE_FULL`. A message counts
   * 640 bytes more than it has, because keeping it costs that, here and for `highWaterBytes`. The client keeps as many bytes of
   * unread messages from links that have ended.
   *
   * @default {8388608}
   */
  maxQueuedBytes?: number | undefined;
  /** Abort closes the client, as {@linkcode Client.close} does. */
  signal?: AbortSignal | undefined;
  /**
   * Logs links that come up and are lost, and of a `send` that was refused for a mistake of the caller's and was not awaited.
   *
   * @default {none; {@linkcode Client.statuses} announces links, and the console shows refused messages}
   */
  logger?: Logger | undefined;
}

/** {@linkcode ClientOptions} with every default filled in, checked. */
export interface ResolvedClientOptions<Data> {
  readonly connect: ResolvedConnectOptions<Data>;
  /** The delays between attempts; `null` when a lost link is not replaced. */
  readonly backoff: Backoff | null;
  readonly dropOldStats: boolean;
  readonly onConnect: OnConnect<Data> | undefined;
  readonly trialMs: number;
  readonly log: EventLog;
  /** Logs a refused `send` that was not awaited; `undefined` for the console. */
  readonly onUnheard: ((error: unknown) => void) | undefined;
}

const ACTION = "Cannot connect";

/**
 * Fills in defaults and checks everything.
 *
 * @throws {TypeError} when an option has the wrong type, or two of them exclude each other
 * @throws {RangeError} when a number is out of range
 */
export function resolveClientOptions<Data>(options: ClientOptions<Data>): ResolvedClientOptions<Data> {
  const connect = resolveConnectOptions(options);
  const { dropOldStats = false, logger, onConnect, trialMs = 50 } = options;
  const log = new EventLog(checkLogger(ACTION, logger));
  if (onConnect !== undefined) checkFunction(ACTION, "onConnect", onConnect);
  const onUnheard = (error: unknown) => {
    const message = "A message was not sent, and the promise of send() that says so was not awaited";
    log.tell({ level: "warn", kind: "unheard", message, fields: { error } });
  };
  return {
    connect,
    backoff: makeBackoff(options.reconnect),
    dropOldStats: checkBoolean(ACTION, "dropOldStats", dropOldStats),
    onConnect,
    trialMs: checkDurationMs(ACTION, "trialMs", trialMs, { allowOff: true }),
    log,
    onUnheard: logger === undefined ? undefined : onUnheard,
  };
}

function makeBackoff(reconnect: ReconnectOptions | false = {}): Backoff | null {
  if (reconnect === false) return null;
  if (typeof reconnect === "object" && reconnect !== null) return new Backoff(reconnect);
  throw new TypeError(`Cannot connect: "reconnect" must be an object or false, got ${typeof reconnect}`);
}
