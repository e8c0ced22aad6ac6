// WorkerBooks: the counters of one worker, in memory that its thread writes and the main thread reads.
import { noRefusals, type RefusalReason } from "../limits/refusal.ts";
import {
  addCounters,
  newServerCounters,
  type NumericRecord,
  type ServerCounters,
} from "../stats/data/counters.ts";
import { DurationHistogram } from "../stats/data/duration_histogram.ts";
import type { ConnectionPlaces } from "./connection_places.ts";

/** Counters that workers of every kind have. */
export interface ConnectionCounters {
  connectionsOpened: number;
  connectionsClosed: number;
  /** Only some count these. */
  connectionsLost?: number;
}

/** Names of the counters of `serve`. */
export const SERVER_BOOKS = Object.keys(newServerCounters()) as readonly (keyof ServerCounters)[];

const REASONS = Object.keys(noRefusals()) as RefusalReason[];

/** Cells of what all books have: a number of 8 bytes each. */
const CELLS = REASONS.length + 2 * DurationHistogram.CELLS;

/**
 * The counters of one worker. One thread writes them; any thread may read them at any moment, and
 * they outlive the thread. Each number is whole by itself; two of them may be of different moments.
 */
export class WorkerBooks<Counters extends ConnectionCounters & NumericRecord<Counters>> {
  readonly counters: Counters;
  readonly handshakes: DurationHistogram;
  readonly requests: DurationHistogram;
  /** Connections that were refused, by reason. */
  readonly refused: Record<RefusalReason, number>;

  /**
   * Keeps its numbers in `memory`, which {@linkcode WorkerBooks.allocate} made.
   *
   * @param names Names of the counters
   * @param places Where connections that are opened and closed are counted for all workers. The
   * thread that writes needs it
   */
  constructor(
    names: readonly (keyof Counters & string)[],
    memory: SharedArrayBuffer = WorkerBooks.allocate(names),
    places?: ConnectionPlaces,
  ) {
    const cells = new Float64Array(memory);
    let used = 0;
    const take = (count: number) => cells.subarray(used, used += count);
    this.counters = viewOf(names, take(names.length)) as unknown as Counters;
    this.refused = viewOf(REASONS, take(REASONS.length));
    this.handshakes = new DurationHistogram(take(DurationHistogram.CELLS));
    this.requests = new DurationHistogram(take(DurationHistogram.CELLS));
    if (places !== undefined) {
      watch(this.counters, "connectionsOpened", () => places.opened());
      watch(this.counters, "connectionsClosed", () => places.closed());
    }
  }

  /** Adds all that others have counted. */
  join(other: WorkerBooks<Counters>): void {
    const { counters, refused } = this;
    addCounters(counters, other.counters);
    addCounters(refused, other.refused);
    this.handshakes.join(other.handshakes);
    this.requests.join(other.requests);
  }

  /** Counts the connections of a thread that has ended as lost. Returns how many there were. */
  closeAll(): number {
    const { counters } = this;
    const lost = counters.connectionsOpened - counters.connectionsClosed;
    counters.connectionsClosed += lost;
    if (counters.connectionsLost !== undefined) counters.connectionsLost += lost;
    return lost;
  }

  /** Makes memory for the counters of one worker, all 0. */
  static allocate(names: readonly string[]): SharedArrayBuffer {
    return new SharedArrayBuffer((names.length + CELLS) * Float64Array.BYTES_PER_ELEMENT);
  }
}

/** Returns an object whose members are the cells, in the order of `names`. */
function viewOf<Name extends string>(
  names: readonly Name[],
  cells: Float64Array,
): Record<Name, number> {
  const view = {} as Record<Name, number>;
  for (const [index, name] of names.entries()) {
    Object.defineProperty(view, name, {
      enumerable: true,
      configurable: true,
      get: () => cells[index],
      set: (value: number) => cells[index] = value,
    });
  }
  return view;
}

/** Calls `onChange` whenever one counter grows: it grows by 1. */
function watch(
  counters: ConnectionCounters,
  name: keyof ConnectionCounters,
  onChange: () => void,
): void {
  const { get, set } = Object.getOwnPropertyDescriptor(counters, name)!;
  Object.defineProperty(counters, name, {
    enumerable: true,
    get: get!,
    set: (value: number) => {
      set!(value);
      onChange();
    },
  });
}
