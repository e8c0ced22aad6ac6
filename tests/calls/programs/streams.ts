// How many streams an end of a carrier has open, as its statistics say.
import { JoinedWire, MountedWire, WireSession } from "@parley/parley/wire";

/** Streams of all sessions of an end; 0 where it has none. */
export function openStreamsOf(end: unknown): number {
  if (end instanceof WireSession) return end.stats().streams;
  if (!(end instanceof JoinedWire || end instanceof MountedWire)) return 0;
  let streams = 0;
  for (const session of end.sessions) streams += session.stats().streams;
  return streams;
}
