// Terminal: a real terminal by tmux, for tests of what people see and type.

/** Longest wait for something on the screen, in ms. */
const DEADLINE_MS = 20_000;

/** Options of a {@linkcode Terminal}. */
export interface TerminalOptions {
  /** Columns. @default {80} */
  readonly columns?: number | undefined;
  /** Rows. @default {24} */
  readonly rows?: number | undefined;
  /** Added to the environment. */
  readonly env?: Record<string, string> | undefined;
}

/** Whether there is a tmux to test with. */
export function hasTmux(): boolean {
  try {
    return new Deno.Command("tmux", { args: ["-V"] }).outputSync().success;
  } catch {
    return false;
  }
}

/** A terminal of its own in which one command runs; gone when it is disposed of. */
export class Terminal implements AsyncDisposable {
  readonly #server = `parley-test-${crypto.randomUUID()}`;

  /** Starts a command; the screen shows `[exit CODE]` once it has ended. */
  static async start(command: readonly string[], options: TerminalOptions = {}): Promise<Terminal> {
    const { columns = 80, rows = 24, env = {} } = options;
    const terminal = new Terminal();
    const assignments = Object.entries({ NO_COLOR: "1", ...env }).map(([name, value]) =>
      `${name}=${value}`
    );
    const line = ["env", ...assignments, ...command].map(quote).join(" ");
    const size = ["-x", String(columns), "-y", String(rows)];
    const script = `${line}; echo "[exit $?]"; exec cat`;
    await terminal.#tmux(["-f", "/dev/null", "new-session", "-d", ...size, "sh", "-c", script]);
    return terminal;
  }

  /** Types text as it is. */
  async type(text: string): Promise<void> {
    await this.#tmux(["send-keys", "-l", text]);
  }

  /** Presses keys by tmux's names for them: `Enter`, `C-d`, `Up`. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#tmux(["send-keys", ...keys]);
  }

  /** Makes the window another size. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux(["resize-window", "-x", String(columns), "-y", String(rows)]);
  }

  /** What the screen shows, without empty lines at its end. */
  async screen(): Promise<string> {
    return (await this.#tmux(["capture-pane", "-p"])).trimEnd();
  }

  /** Waits until the screen matches; returns what it shows. */
  async shows(wanted: RegExp): Promise<string> {
    const end = performance.now() + DEADLINE_MS;
    for (;;) {
      const screen = await this.screen();
      if (wanted.test(screen)) return screen;
      if (performance.now() > end) {
        throw new Error(`The screen does not show ${wanted}:\n${screen}`);
      }
    }
  }

  /** Ends the command and the terminal. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux(["kill-server"]).catch(() => {});
  }

  async #tmux(args: readonly string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("tmux", {
      args: ["-u", "-L", this.#server, ...args],
      env: { TERM: "xterm", LC_ALL: "C.UTF-8" },
    }).output();
    const text = new TextDecoder().decode(success ? stdout : stderr);
    if (!success) throw new Error(`tmux ${args[0]} failed: ${text}`);
    return text;
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
