// Registry: the sessions of a server by id and by identity, and who may take whose name.
import { ClosedError, TimeoutError } from "../../errors.ts";
import type { WaitOptions } from "../../async/wait.ts";
import { sameToken } from "../protocol/token.ts";
import type { EstablishedSession } from "./established.ts";
import type { Link } from "./link.ts";
import { Waiters } from "../../async/waiters.ts";

/** Who has which name over several registries that serve one port. */
export interface SharedNames {
  /** Claims the name of a session, as {@linkcode Registry.claim} does, over all of them. */
  claim(established: EstablishedSession): Promise<boolean>;
}

/** What proves an identity. */
export interface IdentityProof {
  readonly token: string;
  /** SHA-256 of the client's certificate; `undefined` where it showed none. */
  readonly certificate: string | undefined;
}

/** What proved the identity of a session. */
export function proofOf({ token, transport }: EstablishedSession): IdentityProof {
  return { token, certificate: transport.tls?.peerCertificate?.fingerprint256 };
}

/** Sessions of a server. */
export class Registry {
  readonly #byId = new Map<string, Link>();
  readonly #byIdentity = new Map<
    string,
    { readonly established: EstablishedSession; link: Link | undefined }
  >();
  readonly #awaited = new Map<string, Waiters<Link>>();

  /** All sessions, the oldest first. */
  get links(): IterableIterator<Link> {
    return this.#byId.values();
  }

  /** A session by its id, or by who it is with. */
  find(idOrIdentity: string): Link | undefined {
    return this.#byId.get(idOrIdentity) ?? this.#byIdentity.get(idOrIdentity)?.link;
  }

  /** The session with a peer; `undefined` when it has none. */
  named(identity: string): Link | undefined {
    return this.#byIdentity.get(identity)?.link;
  }

  /**
   * Waits until a peer has a session that takes streams.
   *
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it had none within `timeoutMs`
   * @throws {ClosedError} `ERR_CLOSED` when no peer joins any more
   */
  async waitFor(identity: string, options: WaitOptions): Promise<Link> {
    options.signal?.throwIfAborted();
    const link = this.named(identity);
    if (link?.established.mux.status === "open") return link;
    const waiters = this.#awaited.get(identity) ?? new Waiters();
    this.#awaited.set(identity, waiters);
    try {
      return await waiters.wait(options, (ms) => {
        return new TimeoutError(
          "ERR_CONNECT_TIMEOUT",
          `The peer ${JSON.stringify(identity)} did not join within ${ms} ms`,
        );
      });
    } finally {
      if (waiters.size === 0 && this.#awaited.get(identity) === waiters) {
        this.#awaited.delete(identity);
      }
    }
  }

  /** No peer joins any more: ends all waits. */
  stop(error: ClosedError): void {
    for (const waiters of this.#awaited.values()) waiters.reject(error);
  }

  /**
   * Claims a name for its first owner, or for one that proves the same again: the same token, or
   * the same client certificate. The old session learns that, and is closed. `false` when another
   * peer has the name.
   */
  claim(established: EstablishedSession): boolean {
    const { identity, mux } = established;
    const owner = this.#byIdentity.get(identity);
    if (owner !== undefined) {
      if (!sameProof(proofOf(owner.established), proofOf(established))) return false;
      this.supersede(owner.established);
    }
    this.#byIdentity.set(identity, { established, link: undefined });
    void mux.closed.then(() => this.#forget(established));
    return true;
  }

  /** Ends a session because a newer one of its identity took its place; its peer learns that. */
  supersede(established: EstablishedSession): void {
    const owner = this.#byIdentity.get(established.identity);
    const link = owner?.established === established ? owner.link : undefined;
    this.#forget(established);
    const text = "Cannot go on with the session: a newer one of the same identity took its place";
    const error = new ClosedError("ERR_CLOSED", text);
    if (link === undefined) established.mux.abort(error);
    else void link.takeOver(error);
  }

  /** Lists a session whose name was claimed; `false` when it has ended, or lost its name, meanwhile. */
  add(link: Link): boolean {
    const entry = this.#byIdentity.get(link.established.identity);
    if (entry?.established !== link.established || link.established.mux.status === "ended") {
      return false;
    }
    entry.link = link;
    this.#byId.set(link.established.id, link);
    this.#awaited.get(link.established.identity)?.resolve(link);
    return true;
  }

  #forget(established: EstablishedSession): void {
    this.#byId.delete(established.id);
    if (this.#byIdentity.get(established.identity)?.established === established) {
      this.#byIdentity.delete(established.identity);
    }
  }
}

/** Whether a peer proves the identity that another one has: by the same certificate or token. */
export function sameProof(left: IdentityProof, right: IdentityProof): boolean {
  if (left.certificate !== undefined && left.certificate === right.certificate) return true;
  return left.token !== "" && sameToken(right.token, left.token);
}
