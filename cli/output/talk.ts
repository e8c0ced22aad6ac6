// What the command line writes: results to standard output, talk to standard error, and a progress line for
// people only.

const encoder = new TextEncoder();

/** Writes a line of the result to standard output. */
export function print(line: string): void {
  write(Deno.stdout, `${line}\n`);
}

/** Writes to standard output as it is, without an end of line. */
export function writeOut(text: string): void {
  write(Deno.stdout, text);
}

/** Writes a line to standard error as it is. */
export function writeError(line: string): void {
  write(Deno.stderr, `${line}\n`);
}

/** Whether a line reports a failure. */
export type SayLevel = "info" | "error";

let sayBy: (line: string, level: SayLevel) => void = writeError;

/** Writes a line for people to standard error; an object with that line where the log is one of objects. */
export function say(line: string, level: SayLevel = "info"): void {
  sayBy(line, level);
}

/** Has `write` take what is said from now on; `null` for standard error. */
export function sayThrough(write: ((line: string, level: SayLevel) => void) | null): void {
  sayBy = write ?? writeError;
}

/** A number for people: `10,000`. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** A duration for people: `12 ms`, `1.4 s`. */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** A rate for people: `212 MB/s`. */
export function rate(bytes: number, ms: number): string {
  return `${Math.round(bytes / 1000 / Math.max(ms, 0.001))} MB/s`;
}

/** Text in green or red, where there are colours. */
export function paint(text: string, colour: "green" | "red" | "bold"): string {
  if (Deno.noColor || !Deno.stdout.isTerminal()) return text;
  return `\x1b[${{ green: 32, red: 31, bold: 1 }[colour]}m${text}\x1b[0m`;
}

/** Longest bar, in characters. */
const BAR_LENGTH = 30;

/** Time between two drawings, in ms: often enough to look alive. */
const DRAW_EVERY_MS = 60;

/** A line on the terminal that shows how far a step has come; nothing where standard error is no terminal. */
export class Progress implements Disposable {
  #visible = Deno.stderr.isTerminal();
  readonly #total: number;
  readonly #describe: (done: number) => string;
  #drawnAtMs = -Infinity;

  /** Shows `describe(done)` behind a bar that is full at `total`. */
  constructor(total: number, describe: (done: number) => string) {
    this.#total = total;
    this.#describe = describe;
  }

  /** Draws anew, unless that was just done. */
  update(done: number): void {
    const nowMs = performance.now();
    if (!this.#visible || nowMs - this.#drawnAtMs < DRAW_EVERY_MS) return;
    this.#drawnAtMs = nowMs;
    const share = Math.min(1, done / this.#total);
    const full = Math.round(share * BAR_LENGTH);
    const bar = "█".repeat(full) + "░".repeat(BAR_LENGTH - full);
    write(Deno.stderr, `\r\x1b[K   ${bar} ${this.#describe(done)}`);
  }

  /** Wipes the line, and draws no more. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#visible && this.#drawnAtMs > -Infinity) write(Deno.stderr, "\r\x1b[K");
    this.#visible = false;
  }
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
  } catch (error) {
    // The reader has gone, as `head` does, or the terminal has: that is no failure.
    if (!(error instanceof Deno.errors.BrokenPipe) && !isTerminalGone(error)) throw error;
  }
}

/** EIO: what a terminal says once it was closed. */
function isTerminalGone(error: unknown): boolean {
  return error instanceof Error && /\(os error 5\)/.test(error.message);
}
