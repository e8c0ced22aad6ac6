// PostedNames: claims the names of sessions at the main thread, for the wire of one worker.
import type { EstablishedSession } from "./session/established.ts";
import {
  type IdentityProof,
  proofOf,
  type Registry,
  type SharedNames,
} from "./session/registry.ts";

/** What a worker says of its names. */
export type NamesToMain =
  | {
    readonly kind: "claim";
    readonly session: string;
    readonly identity: string;
    readonly proof: IdentityProof;
  }
  | { readonly kind: "release"; readonly session: string };

/** What the main thread says of them. */
export type NamesToWorker =
  | { readonly kind: "claimed"; readonly session: string; readonly granted: boolean }
  | { readonly kind: "superseded"; readonly session: string };

/** A session whose name was claimed, until it is over. */
interface Claimed {
  readonly established: EstablishedSession;
  readonly answer: PromiseWithResolvers<boolean>;
}

/**
 * The names of one worker. Answers come in the order in which the main thread decided, so that a
 * name that was granted and then taken over is so here as well.
 */
export class PostedNames implements SharedNames {
  readonly #registry: Registry;
  readonly #post: (message: NamesToMain) => void;
  readonly #claimed = new Map<string, Claimed>();

  constructor(registry: Registry, post: (message: NamesToMain) => void) {
    this.#registry = registry;
    this.#post = post;
  }

  claim(established: EstablishedSession): Promise<boolean> {
    const { id: session, identity, mux } = established;
    const answer = Promise.withResolvers<boolean>();
    this.#claimed.set(session, { established, answer });
    this.#post({ kind: "claim", session, identity, proof: proofOf(established) });
    void mux.closed.then(() => {
      this.#claimed.delete(session);
      this.#post({ kind: "release", session });
    });
    return answer.promise;
  }

  /** Takes a message of the main thread. */
  receive(message: NamesToWorker): void {
    const claimed = this.#claimed.get(message.session);
    if (claimed === undefined) return;
    if (message.kind === "claimed") claimed.answer.resolve(message.granted);
    else this.#registry.supersede(claimed.established);
  }
}
