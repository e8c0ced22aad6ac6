// hub(): a server that brings streams from one client to another, and announces who is there.
import { checkFunction, checkInteger } from "../options/check.ts";
import type { OptionNames } from "../options/names.ts";
import { HubRouter } from "./hub_router.ts";
import { MountedWire } from "./mount.ts";
import { MOUNT_NAMES, type MountOptions } from "./options.ts";
import { resolveMount } from "./plan.ts";
import type { PresenceRequest } from "./presence.ts";

/**
 * Time for which a stream waits for its turn, in ms. It is below the ten seconds of a caller, so
 * that the caller learns why the stream was refused.
 */
const TURN_MS = 8000;

/** Options of {@linkcode hub}. */
export interface HubOptions extends MountOptions {
  /**
   * Which peer may see that another is there, and what it handles. An error is reported, and shows
   * nothing. Changes of one peer are announced at 512 KiB a second in the long run, over all that
   * see it. Names that do not fit a frame of 16 KiB are left out, and that is reported.
   *
   * @default {no peer sees another}
   */
  presence?: ((request: PresenceRequest) => boolean) | undefined;
  /**
   * Streams between two clients at a time; more wait up to eight seconds, and are then refused with
   * `ERR_BUSY`. The hub announces this limit to its clients, which take as many streams, unless
   * their own options say otherwise.
   *
   * @default {64}
   */
  maxStreamsPerPair?: number | undefined;
}

const HUB_NAMES: OptionNames<HubOptions> = {
  ...MOUNT_NAMES,
  presence: true,
  maxStreamsPerPair: true,
};

/**
 * Makes a hub: a {@linkcode mount} whose clients also open streams to each other, with
 * `wire.peer(identity).open(name)`. `authorize` is asked for each of them, with authenticated
 * `from` and `to`; its handler finds the same in `stream.from`. Nothing is held for a slow client
 * but the windows of its streams.
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
