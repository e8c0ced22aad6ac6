// A carrier in memory: the core of calls without any connection, so that a fault is the core's own.
import { MemoryPort } from "../support/calls/memory_port.ts";
import type { Carrier } from "./programs/carriers/carriers.ts";
import type { Half } from "./programs/place.ts";

/** Makes a carrier whose two halves share a port. */
export function memoryCarrier(): Carrier {
  const port = new MemoryPort();
  const half = <End>(end: End): Promise<Half<End>> =>
    Promise.resolve({
      place: { dir: "" },
      end: () => end,
      shutdown: () => port[Symbol.asyncDispose](),
      abort: () => port.near.abort(),
      ended: () => port[Symbol.asyncDispose](),
    });
  return {
    first: "answerer",
    hasStreams: true,
    peer: null,
    answers: () => half(port.table),
    calls: () => half(port),
  };
}
