/**
 * Many streams over one connection, by the yamux protocol. For most uses call `mount` and `join` of
 * `./wire`, which add names, authentication and reconnection. Make a {@linkcode MuxSession} on a
 * transport to talk to yamux programs in other languages.
 *
 * A {@linkcode MuxStream} is one flow of bytes in a session. The pure parts, header, window and
 * states, are exported for tools and tests.
 *
 * @example Two sessions over a pair of transports, and a stream of one of them
 * ```ts
 * import { memoryPair } from "@parley/parley";
 * import { MuxSession } from "@parley/parley/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const [near, far] = memoryPair();
 * const client = new MuxSession(near, { role: "client" });
 * const server = new MuxSession(far, { role: "server" });
 *
 * const asking = await client.openStream();
 * await asking.write(new Uint8Array([1, 2, 3]));
 * const answering = await server.acceptStream();
 * assertEquals(await answering?.read(), new Uint8Array([1, 2, 3]));
 * client.abort();
 * server.abort();
 * await Promise.all([client.closed, server.closed]);
 * ```
 *
 * @module
 */
export { type Clock, systemClock } from "../async/clock.ts";
export { type EngineCounters } from "./engine_types.ts";
export { type FloodLimits } from "./flood.ts";
export {
  decodeHeader,
  encodeHeader,
  Flag,
  type FrameHeader,
  FrameReader,
  type FrameSink,
  FrameType,
  GoAwayCode,
  HEADER_BYTES,
} from "./header.ts";
export { MuxMemory, type MuxMemoryOptions, processMemory, type SessionMemory } from "./memory.ts";
export { type MuxRole, type MuxSessionOptions } from "./options.ts";
export type { CloseOptions } from "../options/close.ts";
export { MuxSession, type MuxSessionStats } from "./session.ts";
export { type LinkStatus, type SessionState, type StreamState } from "./state.ts";
export { MuxStream, type MuxStreamStats } from "./stream.ts";
export type { MuxTerms, PeerTerms } from "./terms.ts";
export { type WaitOptions } from "../async/wait.ts";
export { INITIAL_WINDOW_BYTES } from "./credit_window.ts";
