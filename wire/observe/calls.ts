// Calls: the streams that a hub brings from one peer to another now.
import { LinkedSet } from "../../collections/linked_set.ts";
import { escapeForLog } from "../../log/text.ts";
import type { MuxStream } from "../../mux/stream.ts";
import type { WireCallStats } from "../../stats/data/snapshots.ts";

/** Calls that a snapshot lists. */
const MAX_LISTED = 256;

/** One call. */
interface Call {
  readonly from: string;
  readonly to: string;
  readonly name: string;
  readonly openedAtMs: number;
  /** The stream of the peer that called. */
  readonly caller: MuxStream;
}

/** The calls of one hub. */
export class Calls {
  readonly #calls = new LinkedSet<Call>();

  /** A call was accepted. Call the result when it is over. */
  add(from: string, to: string, name: string, caller: MuxStream): () => void {
    const call: Call = { from, to, name, openedAtMs: Date.now(), caller };
    const place = this.#calls.add(call);
    return () => void this.#calls.remove(place);
  }

  /** The first 256, the oldest first. */
  list(): WireCallStats[] {
    const listed: WireCallStats[] = [];
    for (const { from, to, name, openedAtMs, caller } of this.#calls.values()) {
      if (listed.length === MAX_LISTED) break;
      const { bytesIn, bytesOut } = caller.stats();
      const [fromText, toText, nameText] = [from, to, name].map((text) => escapeForLog(text, 128));
      listed.push({
        from: fromText!,
        to: toText!,
        name: nameText!,
        openedAtMs,
        bytesFrom: bytesIn,
        bytesTo: bytesOut,
      });
    }
    return listed;
  }
}
