// claimMessages(): how another part of Parley takes all messages of a connection, in place of a reader.
import type { MessageObserver } from "./types.ts";

/** Takes messages as they come. None of its methods may throw. */
export interface MessageConsumer {
  /** Whether it takes the next message now; {@linkcode ClaimedMessages.resume} says that it does again. */
  readonly isReady: boolean;
  /** Whether its own messages may have any bytes: not every framing carries these. */
  readonly sendsAnyBytes: boolean;
  /** Whether something is under way that ends by a message: then the connection is not idle. */
  readonly isBusy: boolean;
  /**
   * The connection closes in order: nothing new begins. Resolves when nothing is under way any more;
   * `null` when that is so now. May be called again.
   */
  finish(): Promise<void> | null;
  /** What a reader learns that comes beside it. */
  readonly refusal: string;
  /** Takes a message, which belongs to it. */
  onMessage(message: Uint8Array): void;
  /** Called once: no more messages come. `error` is what ended them early, `null` for none. */
  onEnd(error: unknown): void;
}

/** What the owner of the consumer gets: the connection from its inner side. */
export interface ClaimedMessages {
  /** Whether less than `highWaterBytes` wait to be sent. */
  readonly hasRoom: boolean;
  /** Takes the time from requests to answers; `undefined` where nothing does that. */
  readonly observer: MessageObserver | undefined;
  /** Largest message of either direction, in bytes. */
  readonly maxMessageBytes: number;
  /** Whether both directions work on: the connection has not begun to end, or waits for the consumer. */
  readonly isOpen: boolean;
  /** Goes on to deliver messages. */
  resume(): void;
  /** Writes now what was sent in this turn. */
  flush(): void;
}

type Claim = (connection: object, consumer: MessageConsumer) => ClaimedMessages;

let claim: Claim;

/** Called once, by the class of connections: nothing else can reach inside of one. */
export function provideClaims(provided: Claim): void {
  claim = provided;
}

/**
 * Delivers every message of a `Connection` to `consumer`, from the end of this run of code on.
 *
 * @throws {TypeError} when the framing does not carry what the consumer sends, a reader waits, there
 * is a consumer already, or the connection is leased
 */
export function claimMessages(connection: object, consumer: MessageConsumer): ClaimedMessages {
  return claim(connection, consumer);
}
