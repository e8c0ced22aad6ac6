// Options of Client, their defaults, and their check before any I/O.
import { checkBoolean, checkDurationMs, checkFunction, checkLogger } from "../options/check.ts";
import { EventLog } from "../log/events.ts";
import type { Logger } from "../log/logger.ts";
import { Backoff, type ReconnectOptions } from "../async/backoff.ts";
import {
  type ConnectOptions,
  resolveConnectOptions,
  type ResolvedConnectOptions,
} from "./options.ts";
import type { OnConnect } from "./trial.ts";

/** Options of {@linkcode Client}. */
export interface ClientOptions<Data = unknown> extends ConnectOptions<Data> {
  /** When to dial again; `false` closes the client when the link is lost or the first attempt fails. */
  reconnect?: ReconnectOptions | false | undefined;
  /**
   * Prepares each new link, for example by a login. The client calls it before the link counts as
   * connected, and awaits it. Messages that it sends on the link leave before all waiting messages,
   * and it may receive from the link; {@linkcode Client.send} waits until it is done. When it
   * throws or rejects, the attempt has failed with that error, and an `AuthError` ends the client.
   * It may take the rest of `timeoutMs` after dialling; after that, or when the client is closed,
   * the link is aborted and `link.signal` aborts.
   *
   * @default {nothing}
   */
  onConnect?: OnConnect<Data> | undefined;
  /**
   * Time in ms of the trial of a new link: it counts as connected, and accepts messages, when the
   * server has sent something or the trial is over. The trial lasts twice as long as dialling took
   * where that is more, up to 1000 ms. It keeps messages from a full server, from a balancer
   * without a server, and from a server that refuses our certificate after the handshake, because
   * these end a link at once. 0 sends without waiting.
   *
   * @default {50} too short for a person to notice, and a refusal on the same machine or network comes sooner
   */
  trialMs?: number | undefined;
  /** Whether statistics start over with each link. @default {false} */
  dropOldStats?: boolean | undefined;
  /**
   * Most bytes of messages that wait for a link or for room on it; above, `send` rejects with
   * `ERR_QUEUE_FULL`. Each message counts 640 bytes more, here and for `highWaterBytes`, because
   * keeping it costs that. The same limit holds for unread messages from links that have ended.
   *
   * @default {8388608}
   */
  maxQueuedBytes?: number | undefined;
  /** Abort closes the client, as {@linkcode Client.close} does. */
  signal?: AbortSignal | undefined;
  /**
   * Logs links that come up and are lost, and each `send` that was refused for a mistake of the
   * caller and not awaited.
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
export function resolveClientOptions<Data>(
  options: ClientOptions<Data>,
): ResolvedClientOptions<Data> {
  const connect = resolveConnectOptions(options);
  const { dropOldStats = false, logger, onConnect, trialMs = 50 } = options;
  const log = new EventLog(checkLogger(ACTION, logger));
  if (onConnect !== undefined) checkFunction(ACTION, "onConnect", onConnect);
  const onUnheard = (error: unknown) => {
    const message =
      "A message was not sent, and the promise of send() that says so was not awaited";
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
  throw new TypeError(
    `Cannot connect: "reconnect" must be an object or false, got ${typeof reconnect}`,
  );
}
