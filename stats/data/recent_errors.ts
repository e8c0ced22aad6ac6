// RecentErrors: the last errors of a server, a client, a wire or a channel: a fixed number, no
// matter which peer causes them.
import { errorText, escapeForLog } from "../../log/text.ts";
import { addressText } from "../../net/transport/faults.ts";
import type { Address } from "../../net/transport/transport.ts";
import { errorCode } from "./error_codes.ts";
import type { RecentError } from "./snapshots.ts";

/** Entries that are kept. */
const MAX_ENTRIES = 32;

/** Longest name of a peer that is kept, in characters. */
const MAX_PEER = 128;

/** What is known of an error beside itself. */
export interface RecentErrorContext {
  /** What was being done; from a fixed set of the program. */
  readonly phase: string;
  /** Address or identity of the peer. */
  readonly peer?: Address | string | null | undefined;
  /** How many errors it stands for. @default {1} */
  readonly count?: number | undefined;
}

/** An entry, and what it is joined by. */
interface Entry {
  error: RecentError;
  readonly kind: string;
  readonly source: string;
}

/**
 * Keeps the last 32 errors. Errors of one phase, one code and one source are joined. When all places are
 * taken, the kind with the most entries loses its oldest: a flood of one kind pushes out no other.
 *
 * @example
 * ```ts
 * import { FramingError } from "../../errors.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const recent = new RecentErrors();
 * for (const port of [40_000, 40_001]) {
 *   const error = new FramingError("ERR_FRAME_TOO_LARGE", "Cannot read the message");
 *   recent.add(error, { phase: "handler", peer: { transport: "tcp", hostname: "192.0.2.7", port } });
 * }
 * const [entry] = recent.list();
 * assertEquals([entry?.code, entry?.peer, entry?.count], ["ERR_FRAME_TOO_LARGE", "192.0.2.7:40001", 2]);
 * ```
 */
export class RecentErrors {
  /** The oldest first. */
  readonly #entries: Entry[] = [];

  /** Adds an error. Never throws. */
  add(error: unknown, { phase, peer = null, count = 1 }: RecentErrorContext): void {
    const code = errorCode(error);
    const kind = `${phase} ${code}`;
    const shown = peer === null
      ? null
      : escapeForLog(typeof peer === "string" ? peer : addressText(peer), MAX_PEER);
    const source = peer !== null && typeof peer !== "string" && peer.transport === "tcp"
      ? peer.hostname
      : shown ?? "";
    const known = this.#entries.findIndex((entry) =>
      entry.kind === kind && entry.source === source
    );
    const before = known === -1 ? 0 : this.#entries.splice(known, 1)[0]!.error.count;
    if (this.#entries.length === MAX_ENTRIES) this.#dropOne();
    const text = errorText(error);
    this.#entries.push({
      error: Object.freeze({
        atMs: Date.now(),
        phase,
        code,
        text,
        peer: shown,
        count: before + count,
      }),
      kind,
      source,
    });
  }

  /** The errors, the newest last. */
  list(): readonly RecentError[] {
    return this.#entries.map(({ error }) => error);
  }

  /** Drops the oldest entry of the kind that has the most. */
  #dropOne(): void {
    const counts = new Map<string, number>();
    for (const { kind } of this.#entries) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const index = this.#entries.findIndex(({ kind }) => counts.get(kind) === most);
    this.#entries.splice(index, 1);
  }
}
