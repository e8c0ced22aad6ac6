// splice(): joins two connections byte for byte.
import { watchWait } from "../async/wait.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { Connection } from "../connection.ts";
import { ignoreRejection, rejected } from "../async/rejections.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import { raw } from "../framing.ts";
import { checkDurationMs } from "../options/check.ts";

/** Options of {@linkcode splice}. */
export interface SpliceOptions {
  /** Abort cuts both connections; `splice` rejects with its reason. */
  signal?: AbortSignal | undefined;
  /**
   * Once one direction has ended, longest time in ms without traffic in the other; then both are
   * cut. 0 is off.
   *
   * @default {60000}
   */
  halfCloseTimeoutMs?: number | undefined;
}

const NAMES: OptionNames<SpliceOptions> = { signal: true, halfCloseTimeoutMs: true };

/** How a splice ended. Both connections are closed by then. */
export interface SpliceResult {
  /** Bytes that went from the first connection to the second. */
  readonly bytesAToB: number;
  /** Bytes that went from the second connection to the first. */
  readonly bytesBToA: number;
  /** Which connection failed first; `null` when both ended in order, or there was no traffic for too long. */
  readonly failed: "a" | "b" | null;
  /** Why it ended early; `null` when both ended in order. */
  readonly error: Error | null;
  /**
   * Whether the peer of the cut connection can distinguish the cut from an orderly end; `true` as
   * well when nothing was cut. Over plain TCP a peer can do so only if the connection was made with
   * `canReset`; otherwise it may take the bytes so far for the whole.
   */
  readonly wasTold: boolean;
}

/** One direction. */
interface Flow {
  readonly from: Connection;
  readonly to: Connection;
  readonly names: readonly ["a" | "b", "a" | "b"];
  bytes: number;
}

/** What ended a flow early. */
interface Failure {
  readonly failed: "a" | "b" | null;
  readonly error: Error;
}

/**
 * Joins two connections: bytes from one go to the other, whatever their framing was, beginning with
 * the received and unread bytes. A slow receiver slows its sender down. The end of one direction is
 * passed on, and the other direction continues until it ends as well.
 *
 * When one connection fails, its bytes so far are still written, then the other connection is cut:
 * its peer does not get an orderly end if the transport can distinguish the two. TLS can; plain TCP
 * can when the connection was made with `canReset`. Resolves when both are closed; the failure of a
 * peer is a result, not a rejection.
 *
 * @throws the reason of `signal`, when it aborts
 * @throws {RangeError} when `halfCloseTimeoutMs` is out of range
 *
 * @example A TCP proxy in front of a server
 * ```ts
 * import { connect, raw, serve } from "@parley/parley";
 * import { splice } from "@parley/parley/pool";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const message of conn) await conn.send(message);
 * });
 * await server.ready;
 * await using proxy = serve({ framing: raw() }, async (conn) => {
 *   await splice(conn, await connect({ ...server.addr, framing: raw() }));
 * });
 * await proxy.ready;
 *
 * await using conn = await connect(proxy.addr);
 * await conn.send("Through it");
 * assertEquals(await conn.receive(), new TextEncoder().encode("Through it"));
 * ```
 */
export function splice(
  a: Connection,
  b: Connection,
  options: SpliceOptions = {},
): Promise<SpliceResult> {
  const { signal, halfCloseTimeoutMs = 60_000 } = options;
  checkOptionNames("Cannot splice", options, NAMES);
  checkDurationMs("Cannot splice", "halfCloseTimeoutMs", halfCloseTimeoutMs, { allowOff: true });
  if (a === b) throw new TypeError("Cannot splice a connection with itself");
  if (signal?.aborted) {
    cut(a, b, signal.reason);
    return rejected(signal.reason);
  }
  return ignoreRejection(join(a, b, signal, halfCloseTimeoutMs));
}

async function join(
  a: Connection,
  b: Connection,
  signal: AbortSignal | undefined,
  halfCloseTimeoutMs: number,
): Promise<SpliceResult> {
  const stop = watchWait({ signal }, { cancel: (reason) => cut(a, b, reason) });
  const there: Flow = { from: a, to: b, names: ["a", "b"], bytes: 0 };
  const back: Flow = { from: b, to: a, names: ["b", "a"], bytes: 0 };
  const watch = new Watch(halfCloseTimeoutMs);
  try {
    a.setFraming(raw());
    b.setFraming(raw());
    const ended = { a: follow(there, back, watch), b: follow(back, there, watch) };
    const inOrder = Promise.all([ended.a, ended.b]).then(() => null);
    const failure = await Promise.race([watch.failed, inOrder]);
    signal?.throwIfAborted();
    if (failure === null) await Promise.all([a.close(), b.close()]).catch(() => {});
    else await endEarly(a, b, failure, ended);
    signal?.throwIfAborted();
    return {
      bytesAToB: there.bytes,
      bytesBToA: back.bytes,
      failed: failure?.failed ?? null,
      error: failure?.error ?? null,
      wasTold: failure === null ||
        (failure.failed === "a" || a.marksEnds) && (failure.failed === "b" || b.marksEnds),
    };
  } catch (error) {
    cut(a, b, error);
    throw error;
  } finally {
    watch.stop();
    stop();
  }
}

/** Moves bytes one way until they end; returns what failed, or `null`. */
async function pump(flow: Flow): Promise<Failure | null> {
  const { from, to, names } = flow;
  let failed = names[0];
  try {
    for (;;) {
      const chunk = await from.receive();
      if (chunk === null) break;
      failed = names[1];
      await to.send(chunk);
      flow.bytes += chunk.length;
      failed = names[0];
    }
    failed = names[1];
    await to.closeWrite();
    return null;
  } catch (error) {
    return { failed, error: error as Error };
  }
}

/**
 * Moves bytes one way, and watches what comes after that: the peer may vanish, or never end the
 * `other` direction.
 */
async function follow(flow: Flow, other: Flow, watch: Watch): Promise<void> {
  const failure = await pump(flow);
  if (failure !== null) return watch.fail(failure);
  watch.halfClosed(other);
  void flow.from.closed.then(({ error }) =>
    watch.fail({ failed: flow.names[0], error: error ?? closedMeanwhile() })
  );
}

/** One side failed: the other gets what had come from it, and is cut. */
async function endEarly(
  a: Connection,
  b: Connection,
  { failed, error }: Failure,
  ended: Readonly<Record<"a" | "b", Promise<void>>>,
): Promise<void> {
  if (failed !== null) {
    await ended[failed];
    await (failed === "a" ? b : a).flush().catch(() => {});
  }
  cut(a, b, cutShort(error));
  await Promise.all([a.closed, b.closed]);
}

function cut(a: Connection, b: Connection, reason: unknown): void {
  a.abort(reason);
  b.abort(reason);
}

/**
 * The error that both connections end with. An idle time-out alone would count as an end in order:
 * nothing is lost by that.
 */
function cutShort(cause: Error): ClosedError {
  return new ClosedError(
    "ERR_CLOSED",
    "The connection was cut because the connection that it was spliced with broke or stalled",
    { cause },
  );
}

function closedMeanwhile(): ClosedError {
  return new ClosedError(
    "ERR_CLOSED",
    "The connection was closed on this side while it was spliced",
  );
}

/** Takes note of the first failure, and of a half-closed pair on which nothing moves. */
class Watch {
  readonly #timeoutMs: number;
  readonly #failed: PromiseWithResolvers<Failure> = Promise.withResolvers();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isHalfClosed = false;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves with the first failure. */
  get failed(): Promise<Failure> {
    return this.#failed.promise;
  }

  fail(failure: Failure): void {
    this.#failed.resolve(failure);
  }

  /** One direction has ended: the one that is left must move on. */
  halfClosed(left: Flow): void {
    if (!this.#isHalfClosed && this.#timeoutMs > 0) this.#look(left, left.bytes);
    this.#isHalfClosed = true;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #look(flow: Flow, bytes: number): void {
    this.#timer = setTimeout(() => {
      if (flow.bytes !== bytes) return this.#look(flow, flow.bytes);
      const text =
        `The connections were cut because one direction had ended and nothing moved in the other for ` +
        `${this.#timeoutMs} ms`;
      this.fail({ failed: null, error: new TimeoutError("ERR_IDLE_TIMEOUT", text) });
    }, this.#timeoutMs);
  }
}
