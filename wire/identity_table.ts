// IdentityTable: which session of which worker has which identity, over all workers of one port.
import { type IdentityProof, sameProof } from "./session/registry.ts";

/** A session of one worker. */
export interface SessionPlace {
  /** Number of the worker. */
  readonly worker: number;
  /** Id of the session. */
  readonly session: string;
}

/** What came of a claim. */
export type Claim =
  | { readonly kind: "refused" }
  | {
    readonly kind: "granted";
    /** The session that had the identity, which must end now. */
    readonly superseded: SessionPlace | undefined;
  };

/** One owner of an identity. */
interface Owner extends SessionPlace {
  readonly identity: string;
  readonly proof: IdentityProof;
}

/**
 * Decides over all workers what a registry decides in one: an identity is of its first owner, or of
 * one that proves the same again, which takes the place of the old session. Every method may be
 * called at any moment, and takes constant time but {@linkcode drop}.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const table = new IdentityTable();
 * const proof = { token: "a secret", certificate: undefined };
 * const first = { worker: 1, session: "s1" };
 * table.claim(first, "alice", proof);
 * const claim = table.claim({ worker: 2, session: "s2" }, "alice", proof);
 * assertEquals(claim, { kind: "granted", superseded: first });
 * ```
 */
export class IdentityTable {
  readonly #byIdentity = new Map<string, Owner>();
  readonly #bySession = new Map<string, Owner>();

  /** Claims an identity for a session. */
  claim({ worker, session }: SessionPlace, identity: string, proof: IdentityProof): Claim {
    const before = this.#byIdentity.get(identity);
    if (before !== undefined && !sameProof(before.proof, proof)) return { kind: "refused" };
    if (before !== undefined) this.#bySession.delete(before.session);
    const owner: Owner = { worker, session, identity, proof };
    this.#byIdentity.set(identity, owner);
    this.#bySession.set(session, owner);
    return {
      kind: "granted",
      superseded: before && { worker: before.worker, session: before.session },
    };
  }

  /** A session is over. */
  release(session: string): void {
    const owner = this.#bySession.get(session);
    if (owner === undefined) return;
    this.#bySession.delete(session);
    this.#byIdentity.delete(owner.identity);
  }

  /** The thread of a worker has ended, and its sessions with it. */
  drop(worker: number): void {
    for (const owner of [...this.#bySession.values()]) {
      if (owner.worker === worker) this.release(owner.session);
    }
  }
}
