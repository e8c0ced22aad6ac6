// Screen: the terminal's other page, drawn without flicker, and given back as it was.
import { writeOut } from "../../output/talk.ts";

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"; // other page, no cursor, no wrapping
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/** Terminals that know these show all that is between them at once. */
const [BEGIN, END] = ["\x1b[?2026h", "\x1b[?2026l"];

/** Events of the platform before the program ends, by itself or by an uncaught error. */
const ENDS = ["unload", "error", "unhandledrejection"] as const;

/** The window, while it is ours. */
export class Screen implements Disposable {
  readonly #raw: boolean;
  #open = true;

  /** Takes the window; keys come one by one from now on, where there are any. */
  constructor() {
    this.#raw = Deno.stdin.isTerminal();
    if (this.#raw) Deno.stdin.setRaw(true);
    for (const event of ENDS) globalThis.addEventListener(event, this.#leave);
    writeOut(ENTER);
  }

  /** Its size now. */
  get size(): { readonly columns: number; readonly rows: number } {
    try {
      return Deno.consoleSize();
    } catch {
      return { columns: 80, rows: 24 };
    }
  }

  /** Draws lines over what is there: nothing is wiped before, so nothing flickers. */
  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    writeOut(`${BEGIN}\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J${END}`);
  }

  /** Releases the window. Idempotent. */
  [Symbol.dispose](): void {
    this.#leave();
  }

  readonly #leave = (): void => {
    if (!this.#open) return;
    this.#open = false;
    for (const event of ENDS) globalThis.removeEventListener(event, this.#leave);
    writeOut(LEAVE);
    if (this.#raw) Deno.stdin.setRaw(false);
  };
}
