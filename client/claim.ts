// claimLinks(): how another part of Parley takes all messages of a client, link by link.
import type { Connection } from "../connection.ts";

/** Takes the links of a client. None of its methods may throw. */
export interface LinkConsumer {
  /** What a reader of the client learns that comes beside it. */
  readonly refusal: string;
  /** There is a link: from now on its messages belong to the consumer. */
  onLink(link: Connection): void;
  /** The client closes in order: there will be no more links after this one. */
  onClosing(): void;
  /** Called once: there will be no more links. `error` is why, `null` after `close()`. */
  onEnd(error: unknown): void;
}

type Claim = (client: object, consumer: LinkConsumer) => void;

let claim: Claim;

/** Called once, by the class of clients: nothing else can reach inside of one. */
export function provideLinkClaims(provided: Claim): void {
  claim = provided;
}

/**
 * Passes the current link of a `Client` and all later ones to `consumer`.
 *
 * @throws {TypeError} when a reader waits, or there is a consumer already
 */
export function claimLinks(client: object, consumer: LinkConsumer): void {
  claim(client, consumer);
}
