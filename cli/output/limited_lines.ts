// LimitedLines: lines of a log that others can bring about: so many of each kind, then how many
// were left out.
import { KindRateLimiter } from "../../log/text.ts";
import type { Logger } from "../../log/logger.ts";

/**
 * Length of the interval in which lines of a kind are limited, in ms; at its end one line counts
 * the rest.
 */
const INTERVAL_MS = 10_000;

/** Level of a line. */
export type LineLevel = "debug" | "info" | "warn" | "error";

/** Options of {@linkcode LimitedLines.write}. */
export interface LimitedLine {
  readonly level: LineLevel;
  /** The line, without anything from a peer. */
  readonly text: string;
  /** What is behind it; may hold text from peers. */
  readonly fields: Record<string, unknown>;
  /**
   * What tells it apart from lines with the same text, such as the code of an error; never text
   * from a peer.
   * @default {""}
   */
  readonly kind?: string | undefined;
}

/** Lines that were left out, and are not reported yet. */
interface LeftOut {
  readonly level: LineLevel;
  readonly text: string;
  readonly kind: string;
  count: number;
}

/**
 * Writes lines that peers can bring about as often as they like: ten of each kind in ten seconds,
 * then one line that says how many were left out. So no peer fills a disk, and none hides one kind
 * of line among another.
 *
 * @example
 * ```ts
 * import { openLogger } from "../flags/logger.ts";
 *
 * using lines = new LimitedLines(openLogger());
 * lines.write({ level: "info", text: "Joined", fields: { identity: "office" } });
 * ```
 */
export class LimitedLines implements Disposable {
  readonly #logger: Logger;
  readonly #limiter = new KindRateLimiter({ intervalMs: INTERVAL_MS });
  readonly #leftOut = new Map<string, LeftOut>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Makes one that has written nothing yet. */
  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Writes a line, or counts it. */
  write({ level, text, fields, kind = "" }: LimitedLine): void {
    const key = `${level} ${text} ${kind}`;
    if (this.#limiter.ask(key, performance.now()).write) {
      const leftOut = this.#leftOut.get(key)?.count;
      this.#leftOut.delete(key);
      this.#logger[level](text, leftOut === undefined ? fields : { ...fields, leftOut });
      return;
    }
    const waiting = this.#leftOut.get(key) ?? { level, text, kind, count: 0 };
    waiting.count++;
    this.#leftOut.set(key, waiting);
    this.#timer ??= unrefed(setTimeout(() => this.#tellLeftOut(), INTERVAL_MS));
  }

  /** Writes how many lines were left out and are not reported yet. Lines may still be written. */
  [Symbol.dispose](): void {
    this.#tellLeftOut();
  }

  #tellLeftOut(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { level, text, kind, count } of this.#leftOut.values()) {
      const fields = { line: text, leftOut: count };
      this.#logger[level]("Lines were left out", kind === "" ? fields : { ...fields, code: kind });
    }
    this.#leftOut.clear();
  }
}

/** The count of lines is no reason to stay. */
function unrefed(timer: ReturnType<typeof setTimeout>): ReturnType<typeof setTimeout> {
  Deno.unrefTimer(timer);
  return timer;
}
