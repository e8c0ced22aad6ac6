// hub(): a server that brings streams from one client to another, and announces which clients have joined.
import type { OptionNames } from "../options/names.ts";
import { callHook } from "../log/call_hook.ts";
import type { FrameChannel } from "./protocol/frame_stream.ts";
import type { Open, StreamRefusal } from "./protocol/frames.ts";
import { timeLeft } from "../async/deadline.ts";
import type { Link } from "./session/link.ts";
import { OPEN_TIMEOUT_MS, type OpenLimits } from "./session/open_stream.ts";
import { MountedWire } from "./mount.ts";
import type { Router, RouterParts } from "./mount_host.ts";
import { resolveMount } from "./plan.ts";
import { MOUNT_NAMES, type MountOptions } from "./options.ts";
import { PresenceBoard } from "./presence.ts";
import { refusalOf } from "./protocol/refusals.ts";
import type { Registry } from "./session/registry.ts";
import { relay } from "./relay.ts";
import { checkFunction, checkInteger } from "../options/check.ts";
import type { WireTally } from "./observe/tally.ts";
import { telemetryOn } from "../stats/telemetry/telemetry.ts";
import { routeMeasured } from "./session/telemetry.ts";
import { Turns } from "../async/turns.ts";

/**
 * Time for which a stream waits for its turn, in ms: below the ten seconds of a caller, so that it learns
 * why.
 */
const TURN_MS = 8000;

/** Longest time for which a stream is held until its target has joined, in ms. */
const MAX_HOLD_MS = 60_000;

/** One peer that might see another. */
export interface PresenceRequest {
  /** The peer that would learn of it. */
  readonly identity: string;
  /** The peer whose presence it is. */
  readonly of: string;
  /** Names that the other handles. */
  readonly offers: readonly string[];
}

/** Options of {@linkcode hub}. */
export interface HubOptions extends MountOptions {
  /**
   * Which peer may see that another is there, and what it handles. An error is reported, and shows
   * nothing. Changes of one peer are announced at 512 KiB a second in the long run, over all that see it; names
   * that do not fit a frame of 16 KiB are left out, and that is reported.
   *
   * @default {no peer sees another}
   */
  presence?: ((request: PresenceRequest) => boolean) | undefined;
  /**
   * Streams between two clients at a time; more wait up to eight seconds, and are then refused with
   * `ERR_BUSY`. The hub announces it to clients, and they accept as many streams, unless their own options say otherwise.
   *
   * @default {64}
   */
  maxStreamsPerPair?: number | undefined;
}

const HUB_NAMES: OptionNames<HubOptions> = { ...MOUNT_NAMES, presence: true, maxStreamsPerPair: true };

/**
 * Makes a hub: a {@linkcode mount} whose clients also open streams to each other, with `wire.peer(identity).open(name)`.
 * `authorize` is asked for each of them, with authenticated `from` and `to`; its handler finds the same in
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
 *     sameToken(token, tokens.get(identity)) &&
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
 * ```
 */
export function hub(options: HubOptions): MountedWire {
  const { presence, maxStreamsPerPair = 64 } = options;
  checkInteger("Cannot mount", "maxStreamsPerPair", maxStreamsPerPair, 1, 1 << 24);
  if (presence !== undefined) checkFunction("Cannot mount", "presence", presence);
  const plan = resolveMount(options, maxStreamsPerPair, HUB_NAMES);
  return new MountedWire(
    plan,
    (parts) => new HubRouter(parts, { maxStreamsPerPair, presence, turnMs: TURN_MS }),
  );
}

/** What a {@linkcode HubRouter} goes by. */
export interface RoutePlan {
  readonly maxStreamsPerPair: number;
  readonly presence: HubOptions["presence"];
  /** Time for which a stream waits for its turn, in ms: of its pair, and then of its target. */
  readonly turnMs: number;
}

/** Brings streams from one client to another. */
export class HubRouter implements Router {
  readonly #registry: Registry;
  readonly #tally: WireTally;
  readonly #plan: RoutePlan;
  readonly #report: RouterParts["report"];
  readonly #board: PresenceBoard | undefined;
  readonly #pairs = new Map<string, Turns>();

  constructor({ registry, tally, report }: RouterParts, plan: RoutePlan) {
    this.#registry = registry;
    this.#tally = tally;
    this.#plan = plan;
    this.#report = report;
    if (plan.presence === undefined) return;
    this.#board = new PresenceBoard({ registry, report, isVisible: (to, of) => this.#isVisible(to, of) });
  }

  async route(link: Link, channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined> {
    const from = link.established.identity;
    const { to = "" } = open;
    if (to === from) return "ERR_FORBIDDEN";
    const { turnMs } = this.#plan;
    const { signal } = channel.mux;
    // Before the turn: what waits for a peer that is away must not keep others of the pair from their turns.
    const target = await this.#target(to, open.waitMs ?? 0, signal);
    if (target === undefined) return "ERR_NO_PEER";
    const startedMs = performance.now();
    const pair = from < to ? `${from} ${to}` : `${to} ${from}`;
    const turns = this.#pairs.get(pair) ?? new Turns(this.#plan.maxStreamsPerPair);
    this.#pairs.set(pair, turns);
    if (!turns.tryTake() && !await turns.take(turnMs, signal)) {
      if (turns.isIdle) this.#pairs.delete(pair);
      return "ERR_BUSY";
    }
    try {
      const limits = {
        signal,
        timeoutMs: OPEN_TIMEOUT_MS,
        turnMs: timeLeft(turnMs, startedMs),
      };
      const connect = (open: Open) => this.#connect(channel, target, open, limits);
      const told = { name: open.name, to: undefined, from, meta: open.meta, waitMs: undefined };
      return await (telemetryOn() ? routeMeasured(told, to, connect) : connect(told));
    } finally {
      turns.give();
      if (turns.isIdle) this.#pairs.delete(pair);
    }
  }

  onOpen(link: Link): void {
    this.#board?.joined(link);
  }

  onOffers(link: Link): void {
    this.#board?.changed(link);
  }

  onClose(link: Link): void {
    this.#board?.changed(link);
  }

  stop(): void {
    this.#board?.stop();
  }

  #isVisible(to: Link, of: Link): boolean {
    const request = { identity: to.established.identity, of: of.established.identity, offers: of.offers };
    let verdict: unknown;
    callHook(() => verdict = this.#plan.presence?.(request), (error) => this.#report(error, of));
    return verdict === true;
  }

  /**
   * The session of a peer, which may take `waitMs` to come; ids are for this side's use, a client is found
   * by who it is.
   */
  async #target(to: string, waitMs: number, signal: AbortSignal): Promise<Link | undefined> {
    const link = this.#registry.named(to);
    if (waitMs === 0 || link?.established.mux.status === "open") return link;
    const timeoutMs = Math.min(waitMs, MAX_HOLD_MS);
    // It does not come, or its caller gave up.
    return await this.#registry.waitFor(to, { signal, timeoutMs }).catch(() => this.#registry.named(to));
  }

  /** Opens the stream at its target, and joins both until they are over. */
  async #connect(
    channel: FrameChannel,
    target: Link,
    open: Open,
    limits: OpenLimits,
  ): Promise<StreamRefusal | undefined> {
    let far: FrameChannel;
    try {
      far = await target.open(open, limits);
    } catch (error) {
      const isThere = this.#registry.named(target.established.identity) !== undefined;
      if (target.established.mux.status === "ended") return isThere ? "ERR_GOING_AWAY" : "ERR_NO_PEER";
      return refusalOf(error);
    }
    try {
      await channel.write({});
    } catch (error) {
      far.mux.reset(error);
      throw error;
    }
    const { counters, names, calls } = this.#tally;
    counters.streamsRelayed++;
    names.add(open.name, channel.mux);
    const over = calls.add(open.from ?? "", target.established.identity, open.name, channel.mux);
    await relay(channel, far);
    over();
    return undefined;
  }
}
