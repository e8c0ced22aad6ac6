/**
 * Many streams over one connection, by the yamux protocol.
 *
 * `MuxSession` stands on any `Transport`; `MuxStream` is one flow of bytes in it. The pure parts, header, window
 * and states, are exported for tools and tests.
 *
 * @module
 */
export { type Clock, systemClock } from "../clock.ts";
export { type EngineCounters } from "./engine_parts.ts";
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
export { type MuxCloseOptions, MuxSession, type MuxSessionStats } from "./session.ts";
export { type SessionState, type StreamState } from "./state.ts";
export { MuxStream, type MuxStreamStats } from "./stream.ts";
export { type WaitOptions } from "./wait.ts";
export { INITIAL_WINDOW_BYTES } from "./window.ts";
