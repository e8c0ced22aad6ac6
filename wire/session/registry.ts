// Registry: the sessions of a server by id and by identity, and who may take whose name.
import { ClosedError, TimeoutError } from "../../errors.ts";
import type { WaitOptions } from "../../async/wait.ts";
import type { Link, LinkFacts } from "./link.ts";
import { sameToken } from "../options.ts";
import { Waiters } from "../../async/waiters.ts";

/** Sessions of a server. */
export class Registry {
  readonly #byId = new Map<string, Link>();
  readonly #byIdentity = new Map<string, { readonly facts: LinkFacts; link: Link | undefined }>();
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
    if (link?.facts.mux.state === "open") return link;
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
      if (waiters.size === 0 && this.#awaited.get(identity) === waiters) this.#awaited.delete(identity);
    }
  }

  /** No peer joins any more: ends all waits. */
  stop(error: ClosedError): void {
    for (const waiters of this.#awaited.values()) waiters.reject(error);
  }

  /**
   * Gives a name to its first owner, or to one who proves the same again: the same token, or the same client
   * certificate. The old session is told so and closed then. `false` when another peer has it.
   */
  claim(facts: LinkFacts): boolean {
    const { identity, mux } = facts;
    const owner = this.#byIdentity.get(identity);
    if (owner !== undefined) {
      if (!sameProof(owner.facts, facts)) return false;
      this.#forget(owner.facts);
      const text = "Cannot go on with the session as a newer one of the same identity took its place";
      const error = new ClosedError("ERR_CLOSED", text);
      if (owner.link === undefined) owner.facts.mux.abort(error);
      else void owner.link.takeOver(error);
    }
    this.#byIdentity.set(identity, { facts, link: undefined });
    void mux.closed.then(() => this.#forget(facts));
    return true;
  }

  /** Lists a session whose name was claimed; `false` when it has ended, or lost its name, meanwhile. */
  add(link: Link): boolean {
    const entry = this.#byIdentity.get(link.facts.identity);
    if (entry?.facts !== link.facts || link.facts.mux.state === "ended") return false;
    entry.link = link;
    this.#byId.set(link.facts.id, link);
    this.#awaited.get(link.facts.identity)?.resolve(link);
    return true;
  }

  #forget(facts: LinkFacts): void {
    this.#byId.delete(facts.id);
    if (this.#byIdentity.get(facts.identity)?.facts === facts) this.#byIdentity.delete(facts.identity);
  }
}

function sameProof(left: LinkFacts, right: LinkFacts): boolean {
  const certificate = left.transport.tls?.peerCertificate?.fingerprint256;
  if (certificate !== undefined && certificate === right.transport.tls?.peerCertificate?.fingerprint256) {
    return true;
  }
  return left.token !== "" && sameToken(right.token, left.token);
}
