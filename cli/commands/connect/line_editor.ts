// LineEditor: lines typed at a terminal, with history, while messages appear above the line that is being
// typed.
import process from "node:process";
import * as readline from "node:readline";
import { LimitError } from "../../../errors.ts";
import type { Local } from "./local.ts";
import { showMessage, type ShowOptions } from "./show.ts";

/** Lines that can be called back with the arrow keys. */
const HISTORY = 200;

/**
 * Marks before what is typed and sent, and before each line of what is received: both would look
 * the same otherwise.
 */
const [SENT, RECEIVED] = ["> ", "< "] as const;

/** Characters of typed or pasted lines that wait to be sent. */
const MAX_WAITING = 8 * 2 ** 20;

/** Our own end where a person sits at it. */
export class LineEditor implements Local, Disposable {
  /** Lines typed so far, to the end that Ctrl-D makes. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Resolves at Ctrl-C. */
  readonly left: Promise<void>;
  readonly #show: ShowOptions;
  readonly #editor: readline.Interface;
  readonly #lines: string[] = [];
  #waiting = 0;
  #ended = false;
  #failure: Error | null = null;
  #wake: () => void = () => {};

  /** Takes over the terminal until it is disposed of. */
  constructor(show: ShowOptions) {
    this.#show = show;
    const editor = this.#editor = readline.createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt: SENT,
      terminal: true,
      historySize: HISTORY,
    });
    editor.on("line", (line: string) => {
      this.#onLine(line);
      editor.prompt();
    });
    editor.on("close", () => this.stopInput());
    const { promise, resolve } = Promise.withResolvers<void>();
    editor.on("SIGINT", resolve);
    this.left = promise;
    this.input = this.#read();
  }

  /** Shows the mark of what is typed: once all is said that belongs above it. */
  begin(): void {
    if (!this.#ended) this.#editor.prompt(true);
  }

  /** Characters that wait to be sent. */
  get heldBytes(): number {
    return this.#waiting;
  }

  /** Shows a message above the line that is being typed. */
  write(message: Uint8Array): Promise<void> {
    const shown = showMessage(message, this.#show).replace(/\n$/, "");
    const text = `${RECEIVED}${shown.replaceAll("\n", `\n${RECEIVED}`)}\n`;
    if (this.#ended) return this.#print(text);
    this.#wipeLine();
    const printed = this.#print(text);
    // The editor goes up as many rows as the cursor was below the first one: it is there already.
    (this.#editor as unknown as { prevRows: number }).prevRows = 0;
    this.#editor.prompt(true);
    return printed;
  }

  /** Resolves at once: what is shown is shown. */
  flush(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends the input: what has been typed can still be taken. */
  stopInput(): void {
    if (this.#ended) return;
    this.#ended = true;
    // What comes next does not belong behind a line that was never finished; a mark without
    // anything behind it goes.
    if (this.#editor.line !== "") {
      process.stdout.write("\n");
    } else {
      this.#wipeLine();
    }
    this.#editor.close();
    this.#wake();
  }

  /** Restores the terminal. */
  [Symbol.dispose](): void {
    this.stopInput();
  }

  /** Wipes the line that is being typed, with all its rows; the cursor is where it began. */
  #wipeLine(): void {
    const { rows } = this.#editor.getCursorPos();
    readline.moveCursor(process.stdout, 0, -rows);
    process.stdout.write("\r");
    readline.clearScreenDown(process.stdout);
  }

  #onLine(line: string): void {
    this.#lines.push(line);
    this.#waiting += line.length + 1;
    if (this.#waiting > MAX_WAITING) {
      this.#failure = new LimitError(
        "ERR_QUEUE_FULL",
        `Cannot send what is typed: ${MAX_WAITING} characters wait for a server that does not take them`,
      );
    }
    this.#wake();
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    const encoder = new TextEncoder();
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      const line = this.#lines.shift();
      if (line !== undefined) {
        yield encoder.encode(line);
        this.#waiting -= line.length + 1;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    }
  }

  #print(text: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    process.stdout.write(text, () => resolve());
    return promise;
  }
}
