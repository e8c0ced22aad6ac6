// broadcast(): one message to many connections, of which some may be slow.
import { systemClock } from "../async/clock.ts";
import { timeLimit, withDeadline } from "../async/deadline.ts";
import { ignoreRejection } from "../async/rejections.ts";
import { waitAtMost } from "../async/wait_at_most.ts";
import { toBytes } from "../connection/message_bytes.ts";
import type { SendRoom } from "../connection/types.ts";
import { FramingError, ParleyError, TimeoutError } from "../errors.ts";
import { checkInteger, checkOneOf } from "../options/check.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";

/** What a broadcast needs of a connection. */
export interface BroadcastLink {
  /** Current state; `"open"` and `"draining"` take messages. */
  readonly status: string;
  /** Whether it takes more messages at once. */
  readonly sending: SendRoom;
  /** Sends one message. */
  send(message: Uint8Array): Promise<void>;
}

/** What a broadcast needs of a client of an IPC server, whose messages have a type. */
export interface IpcBroadcastLink {
  /** Current state; `"connected"` takes messages. */
  readonly status: string;
  /** Whether it takes more messages at once. */
  readonly sending: SendRoom;
  /** Sends one message. */
  send(type: number, data: Uint8Array): Promise<void>;
}

/** What a broadcast needs of a connection whose messages are values: what `typed` makes. */
export interface TypedBroadcastLink<Value> {
  /** The connection beneath. */
  readonly link: BroadcastLink;
  /** Makes bytes of values. Links that share a codec share the bytes. */
  readonly codec: {
    /** Returns the bytes of a value. */
    encode(value: Value): Uint8Array;
  };
}

/** Whom a broadcast is for: `server.connections`, or any other connections. */
export type BroadcastTargets<Target> = ReadonlyMap<unknown, Target> | Iterable<Target>;

/** Options of {@linkcode broadcast}. */
export interface BroadcastOptions {
  /**
   * What a slow connection gets. The others get the message at once in any case.
   *
   * - `"end"`: the message too. It waits in the connection's own queue, and the connection ends with
   *   `ERR_SLOW_CONSUMER` once more than its `maxQueuedBytes` wait there.
   * - `"drop"`: nothing, when more than its `highWaterBytes` wait in its queue.
   * - `"wait"`: the message too, and the broadcast resolves when all have room again.
   *
   * @default {"end"} each peer gets every message, or learns from its end that it did not: a gap
   * that is not announced is the worst of the three
   */
  slow?: "drop" | "end" | "wait" | undefined;
  /** Ends the wait of `"wait"`; it rejects with the signal's reason. All messages are on their way then. */
  signal?: AbortSignal | undefined;
  /**
   * Longest wait of `"wait"` in ms, 0 to 2147483647; then `ERR_WRITE_TIMEOUT`.
   *
   * @default {no limit: a peer that takes nothing is ended by the `writeTimeoutMs` of its connection}
   */
  timeoutMs?: number | undefined;
}

/** What became of a broadcast: each connection is in one of the four numbers. */
export interface BroadcastResult {
  /** Connections that took the message into their queue. */
  readonly sent: number;
  /** Connections that were slow, and did not get it. */
  readonly dropped: number;
  /** Connections that were so slow that this message ended them. */
  readonly ended: number;
  /** Connections that had ended before, or did while it waited. */
  readonly failed: number;
}

/** Options for clients of an IPC server. */
export interface IpcBroadcastOptions extends BroadcastOptions {
  /** Type of the message, 1 to 4294967295. */
  type: number;
}

const NAMES: OptionNames<IpcBroadcastOptions> = {
  slow: true,
  signal: true,
  timeoutMs: true,
  type: true,
};

/** Largest type of an IPC message. */
const MAX_TYPE = 2 ** 32 - 1;

/**
 * Longest wait for room, in ms, when no connection has any. So a caller that awaits each broadcast
 * is not faster than the fastest peer, and the loss of messages says something about the peer.
 */
const PACE_MS = 100;

type PlainLink = BroadcastLink | IpcBroadcastLink;
type AnyLink = PlainLink | TypedBroadcastLink<unknown>;

const ACTION = "Cannot broadcast";

/** One connection, and its bytes of the message. */
interface Delivery {
  readonly link: PlainLink;
  readonly bytes: Uint8Array;
}

/**
 * Sends one message to many connections: a string, bytes, or a value where the connections are
 * typed. It is encoded once for each codec. A slow peer never holds up the others (but for `"wait"`,
 * where the caller waits for it), and the failure of one costs no other anything.
 *
 * Await it before the next broadcast: when no connection has room, it waits until one has, 100 ms
 * at most. So a caller that sends without pause is as fast as its fastest peer, and the others miss
 * messages or end: use `"wait"` where all must keep up. Do not change the bytes afterwards.
 *
 * May be called concurrently; each connection gets the messages in the order of the calls.
 *
 * @throws {TypeError | RangeError} when an option is wrong, or the value has no encoding; nothing
 * is sent then
 * @throws {FramingError} when a framing refuses the message; the other connections have got it
 * @throws {TimeoutError} `ERR_WRITE_TIMEOUT` when `"wait"` took longer than `timeoutMs`
 *
 * @example
 * ```ts
 * import { broadcast, connect, serve } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const message of conn) await broadcast(server.connections, message);
 * });
 * await server.ready;
 *
 * await using ada = await connect(server.addr);
 * await ada.send("Hi, all!");
 * assertEquals(await ada.receive(), new TextEncoder().encode("Hi, all!"));
 * ```
 */
export function broadcast(
  targets: BroadcastTargets<BroadcastLink>,
  message: Uint8Array | string,
  options?: BroadcastOptions,
): Promise<BroadcastResult>;
/** Sends one value to many typed connections, encoded once for each codec. */
export function broadcast<Value>(
  targets: BroadcastTargets<TypedBroadcastLink<Value>>,
  message: NoInfer<Value>,
  options?: BroadcastOptions,
): Promise<BroadcastResult>;
/**
 * Sends one message of a type to many clients of an IPC server: `server.clients`, or some of them.
 *
 * @example
 * ```ts
 * import { broadcast } from "@parley/parley";
 * import { connectIpc, listenIpc } from "@parley/parley/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await listenIpc({ name: `doc-${Deno.pid}-b` });
 * await using client = await connectIpc({ name: server.name });
 * await broadcast(server.clients, "Hi, all!", { type: 7, slow: "drop" });
 * assertEquals((await client.receive())?.type, 7);
 * ```
 */
export function broadcast(
  targets: BroadcastTargets<IpcBroadcastLink>,
  message: Uint8Array | string,
  options: IpcBroadcastOptions,
): Promise<BroadcastResult>;
export async function broadcast(
  targets: BroadcastTargets<AnyLink>,
  message: unknown,
  options: Partial<IpcBroadcastOptions> = {},
): Promise<BroadcastResult> {
  const { slow = "end", type, ...wait } = options;
  checkOptionNames(ACTION, options, NAMES);
  checkOneOf(ACTION, "slow", slow, ["drop", "end", "wait"]);
  if (type !== undefined) checkInteger(ACTION, "type", type, 1, MAX_TYPE);
  const timeoutMs = timeLimit("broadcast", wait, Infinity);
  wait.signal?.throwIfAborted();
  const deliveries = encode(targets, message);
  const outcome = new Outcome(deliveries.length, type);
  if (slow !== "wait") {
    await pace(deliveries);
    const taking = slow === "end" ? deliveries : deliveries.filter(({ link }) => !isSlow(link));
    outcome.dropped = deliveries.length - taking.length;
    for (const delivery of taking) void outcome.deliver(delivery);
    // Refusals are reported in the next microtask; what waits for room is not waited for.
    await Promise.resolve();
    return outcome.result();
  }
  const sends = Promise.all(deliveries.map((delivery) => outcome.deliver(delivery)));
  await withDeadline({ signal: wait.signal, timeoutMs, late }, () => sends);
  return outcome.result();
}

/** Encodes the message for each target, once for each codec, before anything is sent. */
function encode(
  targets: BroadcastTargets<AnyLink>,
  message: unknown,
): Delivery[] {
  const encoded = new Map<unknown, Uint8Array>();
  const bytesBy = (codec: unknown, make: () => Uint8Array) => {
    const bytes = encoded.get(codec) ?? make();
    encoded.set(codec, bytes);
    return bytes;
  };
  const links = targets instanceof Map ? targets.values() : targets as Iterable<AnyLink>;
  return Array.from(links, (target: AnyLink) => {
    if (!("codec" in target)) {
      return { link: target, bytes: bytesBy(null, () => toBytes(message as Uint8Array)) };
    }
    const { link, codec } = target;
    return { link, bytes: bytesBy(codec, () => codec.encode(message)) };
  });
}

function isOpen({ status }: PlainLink): boolean {
  return status === "open" || status === "draining" || status === "connected";
}

function isSlow(link: PlainLink): boolean {
  return isOpen(link) && !link.sending.hasRoom;
}

/** Waits until one connection has room, for a moment at most. */
async function pace(deliveries: readonly Delivery[]): Promise<void> {
  const open = deliveries.map(({ link }) => link).filter(isOpen);
  if (open.length === 0 || !open.every(isSlow)) return;
  const room = Promise.race(open.map((link) => link.sending.whenRoom()));
  await waitAtMost(systemClock, PACE_MS, room);
}

/** Counts what became of a message. */
class Outcome {
  dropped = 0;
  readonly #total: number;
  readonly #type: number | undefined;
  #ended = 0;
  #failed = 0;
  /** The first refusal that the message is to blame for. */
  #mistake: Error | null = null;

  constructor(total: number, type: number | undefined) {
    this.#total = total;
    this.#type = type;
  }

  /** Sends a message; resolves when the connection has room again, or is over. Never rejects. */
  deliver({ link, bytes }: Delivery): Promise<void> {
    const sending = this.#type === undefined
      ? (link as BroadcastLink).send(bytes)
      : (link as IpcBroadcastLink).send(this.#type, bytes);
    return ignoreRejection(sending).catch((error: unknown) => {
      // A connection that has ended may reject with the error of its end, which is the peer's.
      const isMistake = error instanceof FramingError || error instanceof TypeError;
      if (isMistake && isOpen(link)) this.#mistake ??= error;
      if (error instanceof ParleyError && error.code === "ERR_SLOW_CONSUMER") this.#ended++;
      else this.#failed++;
    });
  }

  /** Returns the numbers. @throws the mistake */
  result(): BroadcastResult {
    if (this.#mistake !== null) throw this.#mistake;
    const { dropped } = this;
    const sent = this.#total - dropped - this.#ended - this.#failed;
    return { sent, dropped, ended: this.#ended, failed: this.#failed };
  }
}

function late(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_WRITE_TIMEOUT",
    `Cannot broadcast: not every peer had taken the message within ${timeoutMs} ms`,
  );
}
