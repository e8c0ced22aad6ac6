// EventStreams: sends each sample to every viewer, of whom there is a bounded number.
import type { ServerResponse } from "node:http";

/**
 * Bytes that may wait for a viewer. A viewer that is further behind is dropped, and its browser connects
 * again.
 */
const MAX_BEHIND_BYTES = 1 << 20;

/** Viewers of the live page. */
export class EventStreams {
  readonly #viewers = new Set<ServerResponse>();
  readonly #maxViewers: number;
  readonly #onChange: () => void;

  /** @param onChange called when viewers come and go */
  constructor(maxViewers: number, onChange: () => void) {
    this.#maxViewers = maxViewers;
    this.#onChange = onChange;
  }

  /** Viewers there are now. */
  get size(): number {
    return this.#viewers.size;
  }

  /** Whether one more may come. */
  get full(): boolean {
    return this.#viewers.size >= this.#maxViewers;
  }

  /** Adds a viewer, whose head was sent, and sends it its first event. */
  add(viewer: ServerResponse, first: string): void {
    this.#viewers.add(viewer);
    viewer.on("close", () => this.#remove(viewer));
    viewer.on("error", () => this.#remove(viewer));
    viewer.write(`retry: 2000\n${eventText("report", first)}`);
    this.#onChange();
  }

  /** Sends an event to every viewer; drops the viewers that are too far behind. */
  send(event: string, data: string): void {
    if (this.#viewers.size === 0) return;
    const text = eventText(event, data);
    for (const viewer of [...this.#viewers]) {
      if (viewer.writableLength <= MAX_BEHIND_BYTES) viewer.write(text);
      else viewer.destroy();
    }
  }

  /** Ends all of them. */
  end(): void {
    for (const viewer of [...this.#viewers]) viewer.end();
  }

  #remove(viewer: ServerResponse): void {
    if (this.#viewers.delete(viewer)) this.#onChange();
  }
}

/** One event; JSON has no line breaks. */
function eventText(event: string, data: string): string {
  return `event: ${event}\ndata: ${data}\n\n`;
}
