// exchange(): carries messages between a server and our own end, with backpressure both ways, until one of
// them has enough.
import { pause } from "../../../async/pause.ts";
import type { Connection } from "../../../connection.ts";
import { ClosedError } from "../../../errors.ts";
import { aborted } from "../../process/stop.ts";
import type { Local } from "./local.ts";

/**
 * How long an interrupted exchange waits for replies to what was sent, in ms: a user who stops it
 * wants to go.
 */
const DRAIN_MS = 3000;

/** How long it waits for the end of a message that has begun, and for the reader of our output, in ms. */
const LAST_MS = 1000;

/** Options of {@linkcode exchange}. */
export interface ExchangeOptions {
  /** Ends after so many received messages. */
  readonly count: number | undefined;
  /** After the end of input, how long replies are waited for, in ms; without it, until the server ends. */
  readonly waitMs: number | undefined;
  /** Whether our direction stays open at the end of input. */
  readonly keepOpen: boolean;
  /** Asks to end in order: no more input, replies are waited for. */
  readonly stop: AbortSignal;
}

/** How an exchange ended. */
export type ExchangeEnd =
  | "counted" // the messages that were wanted have come
  | "ended" // the server ended in order
  | "waited" // the time for replies is over
  | "left" // the user at the terminal left
  | "unread" // the reader of our output has gone, as `head` does
  | "interrupted";

/** What came of it. */
export interface ExchangeResult {
  /** How it ended. */
  readonly end: ExchangeEnd;
  /** Messages sent. */
  readonly sent: number;
  /** Messages received. */
  readonly received: number;
  /** Bytes of input that the server did not get. */
  readonly unsentBytes: number;
}

/**
 * Runs an exchange to its end; the connection is closed then, and all that was received is written.
 *
 * @throws {ParleyError} when the connection fails, or input or output do
 */
export async function exchange(
  connection: Connection,
  local: Local,
  options: ExchangeOptions,
): Promise<ExchangeResult> {
  const run = new Exchange(connection, local, options);
  try {
    const end = await run.end();
    const heldBytes = end === "ended" ? local.heldBytes : 0;
    if (end === "left" || end === "waited" || end === "unread") connection.closeNow();
    else await connection.close();
    const unsentBytes = end === "ended" || end === "waited"
      ? heldBytes + (await connection.closed).unsentBytes
      : 0;
    const impatient = end === "left" || end === "interrupted";
    await Promise.race([
      flush(local),
      ...impatient ? [pause(LAST_MS, new AbortController().signal)] : [],
    ]);
    return { end, sent: run.sent, received: run.received, unsentBytes };
  } catch (error) {
    // Messages sent and received before the failure are still delivered.
    await Promise.all([connection.close().catch(() => {}), flush(local).catch(() => {})]);
    throw error;
  }
}

/** Flushes what was written; a peer that does not read it is no failure. */
async function flush(local: Local): Promise<void> {
  try {
    await local.flush();
  } catch (error) {
    if (!isDownstreamGone(error)) throw error;
  }
}

/** Whether an error says that the reader of our output has gone, as `head` does. */
function isDownstreamGone(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof Deno.errors.BrokenPipe) return true;
  }
  return false;
}

class Exchange {
  sent = 0;
  received = 0;
  readonly #connection: Connection;
  readonly #local: Local;
  readonly #options: ExchangeOptions;
  /** Ends the waits of an exchange that is over. */
  readonly #over = new AbortController();

  constructor(connection: Connection, local: Local, options: ExchangeOptions) {
    this.#connection = connection;
    this.#local = local;
    this.#options = options;
  }

  async end(): Promise<ExchangeEnd> {
    try {
      const sending = this.#send();
      return await Promise.race([
        this.#receive(),
        this.#waitAfter(sending),
        this.#drainOnStop(sending),
        this.#local.left.then((): ExchangeEnd => "left"),
      ]);
    } finally {
      this.#over.abort();
    }
  }

  async #receive(): Promise<ExchangeEnd> {
    const { count } = this.#options;
    if (count === 0) return "counted";
    for await (const message of this.#connection) {
      this.received++;
      try {
        await this.#local.write(message);
      } catch (error) {
        if (isDownstreamGone(error)) return "unread";
        throw error;
      }
      if (this.received === count) return "counted";
    }
    return this.#options.stop.aborted ? "interrupted" : "ended";
  }

  /** Sends all input. The end of receiving shows what the server did not accept. */
  async #send(): Promise<void> {
    for await (const message of this.#local.input) {
      try {
        await this.#connection.send(message);
        this.sent++;
      } catch (error) {
        if (error instanceof ClosedError) return await new Promise<never>(() => {});
        throw error;
      }
    }
    await this.#endSending();
  }

  async #endSending(): Promise<void> {
    const { keepOpen } = this.#options;
    await (keepOpen ? this.#connection.flush() : this.#connection.closeWrite()).catch(() => {});
  }

  async #waitAfter(sending: Promise<void>): Promise<ExchangeEnd> {
    await sending;
    const { waitMs } = this.#options;
    if (waitMs === undefined) return await never();
    await pause(waitMs, this.#over.signal);
    return this.#options.stop.aborted ? "interrupted" : "waited";
  }

  /** Once it is asked to stop: flushes what was read, waits for replies. */
  async #drainOnStop(sending: Promise<void>): Promise<ExchangeEnd> {
    const { stop, waitMs, keepOpen } = this.#options;
    await aborted(AbortSignal.any([stop, this.#over.signal]));
    if (this.#over.signal.aborted) return await never();
    this.#local.stopInput();
    await Promise.race([sending, pause(LAST_MS, this.#over.signal)]);
    await this.#endSending();
    await pause(keepOpen ? waitMs ?? LAST_MS : waitMs ?? DRAIN_MS, this.#over.signal);
    return "interrupted";
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}
