// NameTraffic: what went over the streams of a wire, by name, for a bounded number of names.
import { LinkedSet } from "../../collections/linked_set.ts";
import { escapeForLog } from "../../log/text.ts";
import type { MuxStream } from "../../mux/stream.ts";
import type { WireNameStats } from "../../stats/data/snapshots.ts";

/** Names that are told apart. */
const MAX_NAMES = 64;

/** Stands for all other names. */
const OTHER = "(other)";

/** What is known of one name. */
interface Entry {
  streams: number;
  /** Bytes of streams that are over. */
  bytesIn: number;
  bytesOut: number;
  readonly live: LinkedSet<MuxStream>;
}

const newEntry = (): Entry => ({ streams: 0, bytesIn: 0, bytesOut: 0, live: new LinkedSet() });

/** Adds up streams by name. Streams count for themselves; they are asked when the sum is wanted. */
export class NameTraffic {
  readonly #entries = new Map<string, Entry>();
  readonly #other = newEntry();

  /** A stream was opened, served or relayed under this name. */
  add(name: string, stream: MuxStream): void {
    // A name that is known as it is needs no escapes.
    const entry = this.#entries.get(name) ?? this.#entryOf(escapeForLog(name, 128));
    entry.streams++;
    const place = entry.live.add(stream);
    void stream.closed.then(() => {
      const { bytesIn, bytesOut } = stream.stats();
      entry.live.remove(place);
      entry.bytesIn += bytesIn;
      entry.bytesOut += bytesOut;
    });
  }

  /** The sums, in the order in which the names came; all others last. */
  list(): WireNameStats[] {
    const list = Array.from(this.#entries, ([name, entry]) => sumOf(name, entry));
    if (this.#other.streams > 0) list.push(sumOf(OTHER, this.#other));
    return list;
  }

  #entryOf(name: string): Entry {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    if (this.#entries.size === MAX_NAMES || name === OTHER) return this.#other;
    const entry = newEntry();
    this.#entries.set(name, entry);
    return entry;
  }
}

function sumOf(name: string, { streams, bytesIn, bytesOut, live }: Entry): WireNameStats {
  const sum = { name, streams, bytesIn, bytesOut };
  for (const stream of live.values()) {
    const now = stream.stats();
    sum.bytesIn += now.bytesIn;
    sum.bytesOut += now.bytesOut;
  }
  return sum;
}
