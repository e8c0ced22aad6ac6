// hub(): a server that brings streams from one client to another, and tells who is there.
import type { MuxStream } from "../mux/stream.ts";
import type { WireCounters } from "../stats/counters.ts";
import type { FrameChannel } from "./frame_channel.ts";
import type { Open, StreamRefusal } from "./frames.ts";
import type { Link } from "./link.ts";
import { MountedWire, type Router, type RouterParts } from "./mount.ts";
import { resolveMount } from "./mount_plan.ts";
import type { MountOptions } from "./options.ts";
import { refusalOf } from "./refusals.ts";
import type { Registry } from "./registry.ts";
import { OPEN_TIMEOUT_MS } from "./session.ts";
import { type SpliceEnd, spliceStreams } from "./splice.ts";
import { checkFunction, checkInteger } from "../limits/check.ts";

/** Who wants to see whom. */
export interface PresenceRequest {
  /** Who would be told. */
  readonly identity: string;
  /** Whose presence it is. */
  readonly of: string;
  /** Names that the other handles. */
  readonly offers: readonly string[];
}

/** Options of {@linkcode hub}. */
export interface HubOptions extends MountOptions {
  /** Who may see that somebody is there, and what he handles. @default {nobody} */
  presence?: (request: PresenceRequest) => boolean;
  /** Streams between two clients at a time; more are refused with `ERR_BUSY`. @default {64} */
  maxStreamsPerPair?: number;
}

/**
 * Makes a hub: a {@linkcode mount} whose clients also open streams to each other, with `wire.peer(identity).open(name)`.
 * `authorize` is asked for each of them, with authenticated `from` and `to`; whoever serves the stream finds the same in
 * `stream.from`. Nothing is held for a slow client but the windows of its streams.
 *
 * @throws {TypeError | RangeError} when an option is wrong
 *
 * @example
 * ```ts
 * import { hub, join, sameToken } from "@parley/parley/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const tokens = new Map([["alice", "a-secret"], ["bob", "b-secret"]]);
 * await using server = hub({
 *   authorize: ({ kind, identity, token, to, name }) =>
 *     sameToken(token, tokens.get(identity) ?? crypto.randomUUID()) &&
 *     (kind === "session" || (to !== undefined && name === "chat")),
 * });
 * await server.ready;
 *
 * await using alice = join({ ...server.addr, identity: "alice", token: "a-secret" });
 * await using bob = join({ ...server.addr, identity: "bob", token: "b-secret" });
 * bob.handle("chat", async (stream) => await stream.write(`Hello, ${stream.from}`));
 * await Promise.all([alice.ready, bob.ready]);
 *
 * const stream = await alice.peer("bob").open("chat");
 * assertEquals(await new Response(stream.readable).text(), "Hello, alice");
 * await stream.close();
 * ```
 */
export function hub(options: HubOptions): MountedWire {
  const plan = resolveMount(options);
  const { presence, maxStreamsPerPair = 64 } = options;
  checkInteger("Cannot mount", "maxStreamsPerPair", maxStreamsPerPair, 1, 1 << 24);
  if (presence !== undefined) checkFunction("Cannot mount", "presence", presence);
  return new MountedWire(plan, (parts) => new HubRouter(parts, maxStreamsPerPair, presence));
}

class HubRouter implements Router {
  readonly #registry: Registry;
  readonly #counters: WireCounters;
  readonly #maxStreamsPerPair: number;
  readonly #presence: HubOptions["presence"];
  readonly #pairs = new Map<string, number>();

  constructor(parts: RouterParts, maxStreamsPerPair: number, presence: HubOptions["presence"]) {
    this.#registry = parts.registry;
    this.#counters = parts.counters;
    this.#maxStreamsPerPair = maxStreamsPerPair;
    this.#presence = presence;
  }

  async route(
    link: Link,
    channel: FrameChannel,
    { name, to = "", meta }: Open,
  ): Promise<StreamRefusal | undefined> {
    const from = link.facts.identity;
    if (to === from) return "ERR_FORBIDDEN";
    const target = this.#registry.find(to);
    // Ids are for this side's use: a client is found by who it is.
    if (target === undefined || target.facts.identity !== to) return "ERR_NO_PEER";
    const pair = from < to ? `${from} ${to}` : `${to} ${from}`;
    const streams = this.#pairs.get(pair) ?? 0;
    if (streams >= this.#maxStreamsPerPair) return "ERR_BUSY";
    this.#pairs.set(pair, streams + 1);
    try {
      return await this.#connect(channel, target, { name, to: undefined, from, meta });
    } finally {
      const left = (this.#pairs.get(pair) ?? 1) - 1;
      if (left === 0) this.#pairs.delete(pair);
      else this.#pairs.set(pair, left);
    }
  }

  onOpen(link: Link): void {
    this.#tellAll(link);
    for (const other of this.#registry.links) {
      if (other !== link && this.#visible(link, other)) {
        link.control.tellPeer(other.facts.identity, other.offers);
      }
    }
  }

  onOffers(link: Link): void {
    this.#tellAll(link);
  }

  onClose(link: Link): void {
    const { identity } = link.facts;
    // A newer session of the same identity may be there already.
    const now = this.#registry.find(identity);
    for (const other of this.#registry.links) {
      if (other !== now && this.#visible(other, link)) other.control.tellPeer(identity, now?.offers ?? null);
    }
  }

  #tellAll(link: Link): void {
    for (const other of this.#registry.links) {
      if (other !== link && this.#visible(other, link)) {
        other.control.tellPeer(link.facts.identity, link.offers);
      }
    }
  }

  #visible(to: Link, of: Link): boolean {
    if (this.#presence === undefined) return false;
    try {
      const request = { identity: to.facts.identity, of: of.facts.identity, offers: of.offers };
      return this.#presence(request) === true;
    } catch {
      return false;
    }
  }

  /** Opens the stream at its target, and joins both until they are over. */
  async #connect(channel: FrameChannel, target: Link, open: Open): Promise<StreamRefusal | undefined> {
    const near = channel.mux;
    // Whoever gives up while the target thinks is not to be waited for.
    const gone = new AbortController();
    void near.closed.then((error) => gone.abort(error));
    let far: Awaited<ReturnType<Link["open"]>>;
    try {
      far = await target.open(open, { signal: gone.signal, timeoutMs: OPEN_TIMEOUT_MS });
    } catch (error) {
      return refusalOf(error);
    }
    try {
      await channel.write({});
    } catch (error) {
      far.channel.mux.reset(error);
      throw error;
    }
    this.#counters.streamsRelayed++;
    await spliceStreams(endOf(near, channel.rest()), endOf(far.channel.mux, far.rest));
    return undefined;
  }
}

/** A mux stream as an end of a splice; `first` was read already. */
function endOf(mux: MuxStream, first: Uint8Array): SpliceEnd {
  let held: Uint8Array | undefined = first.length > 0 ? first : undefined;
  return {
    closed: mux.closed,
    read: async () => {
      if (held === undefined) return await mux.read();
      const bytes = held;
      held = undefined;
      return bytes;
    },
    write: (bytes) => mux.write(bytes),
    closeWrite: () => mux.closeWrite(),
    abort: (reason) => mux.reset(reason),
  };
}
