// Lease: one caller's use of a connection of the pool.
import type { Connection } from "../connection.ts";

/** How a wait for a connection may end early. */
export interface AcquireOptions {
  /** Ends the wait; it rejects with the signal's reason. It has no effect on the lease. */
  signal?: AbortSignal | undefined;
  /** Longest wait in ms; then `ERR_ACQUIRE_TIMEOUT`. @default {`acquireTimeoutMs`} */
  timeoutMs?: number | undefined;
}

/** How the holder returns a connection. */
export type Verdict =
  /** The pool may use it again if it is intact. */
  | { readonly kind: "released" }
  /** The pool must not use it again; the backend is not at fault. */
  | { readonly kind: "discarded" }
  /** The pool must not use it again; the backend is at fault. */
  | { readonly kind: "failed"; readonly error: unknown };

/** The pool, as a lease sees it. */
export interface LeaseOrigin {
  readonly backend: string;
  readonly draining: AbortSignal;
  readonly onReturn: (verdict: Verdict) => void;
}

/**
 * A connection that belongs to its holder until `await using` or {@linkcode release} returns it to
 * the pool. From then on every call on {@linkcode conn} is refused, and calls that still wait there
 * reject. The pool uses the connection again only if it is intact, and if the option `isReusable`
 * of the pool allows it.
 *
 * `conn` may be used as a `Connection` may: one reader at a time, concurrent sends. The first call
 * that ends the lease decides; later ones change nothing.
 *
 * @example
 * ```ts
 * import { serve } from "@parley/parley";
 * import { Pool } from "@parley/parley/pool";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const question of conn) await conn.send(question);
 * });
 * await server.ready;
 * await using pool = new Pool({ backends: [server.addr] });
 *
 * await using lease = await pool.acquire();
 * await lease.conn.send("Are you there?");
 * assertEquals(await lease.conn.receive(), new TextEncoder().encode("Are you there?"));
 * ```
 */
export class Lease implements AsyncDisposable {
  /**
   * The connection, for as long as the lease lasts; `conn.closed` resolves when the lease ends, if
   * not before.
   *
   * When the backend ends it where an answer is due, `receive` and iteration reject with a
   * `ClosedError` (`ERR_CLOSED`): `null` is an end where no answer is due. docs/pool.md says when
   * an answer is missing.
   */
  readonly conn: Connection;
  /** Name of the backend that it leads to. */
  readonly backend: string;
  /** Aborts when this backend is drained, or the pool is closed: finish soon, and release the lease. */
  readonly draining: AbortSignal;
  readonly #onReturn: (verdict: Verdict) => void;
  #returned = false;

  /** Made by the pool. */
  constructor(conn: Connection, origin: LeaseOrigin) {
    this.conn = conn;
    this.backend = origin.backend;
    this.draining = origin.draining;
    this.#onReturn = origin.onReturn;
  }

  /** Returns the connection to the pool. Idempotent. */
  release(): void {
    this.#return({ kind: "released" });
  }

  /** Returns it to be closed, because it must not be used again; the backend is not at fault. Idempotent. */
  discard(): void {
    this.#return({ kind: "discarded" });
  }

  /** Returns it to be cut: the backend failed, which its circuit breaker counts. Idempotent. */
  fail(error?: unknown): void {
    this.#return({ kind: "failed", error });
  }

  /** The same as {@linkcode release}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }

  #return(verdict: Verdict): void {
    if (this.#returned) return;
    this.#returned = true;
    this.#onReturn(verdict);
  }
}
