// Children: programs of the tests as processes that take commands line by line, and report what
// they did as JSON lines.
import { TextLineStream } from "@std/streams";
import { file } from "../support/programs/program.ts";

/** How to start a {@linkcode Child}. */
export interface ChildOptions {
  /** Added to the environment. */
  readonly env?: Record<string, string> | undefined;
}

/** One event that a child reported. */
// deno-lint-ignore no-explicit-any -- each program has its own events
export type ChildEvent = Record<string, any>;

/** A program, killed when the test is done with it. */
export class Child implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #ended: Promise<void>;
  /** All events that it reported. */
  readonly events: ChildEvent[] = [];
  /** What it wrote to standard output and error, as text. */
  output = "";
  #taken = 0;
  #running = true;
  #news: PromiseWithResolvers<void> = Promise.withResolvers();

  /** Starts a program of `tests/ipc/programs/`, or a file of the project when `name` is a path. */
  constructor(name: string, args: readonly string[] = [], options: ChildOptions = {}) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "-A",
        "--config",
        file("deno.json"),
        file(name.includes("/") ? name : `tests/ipc/programs/${name}.ts`),
        ...args,
      ],
      env: { NO_COLOR: "1", ...options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    this.#ended = this.#follow();
  }

  /** Process id. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Whether it still runs. */
  get running(): boolean {
    return this.#running;
  }

  /** Feeds it a line. */
  async tell(line: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(`${line}\n`));
  }

  /** Waits for its next event for which `check` holds; those before it are skipped. */
  async next(check: (event: ChildEvent) => boolean = () => true): Promise<ChildEvent> {
    for (;;) {
      while (this.#taken < this.events.length) {
        const event = this.events[this.#taken++]!;
        if (check(event)) return event;
      }
      if (!this.#running) throw new Error(`The program ended without the event:\n${this.output}`);
      await this.#news.promise;
    }
  }

  /** Ends it without a word (SIGKILL). */
  kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }

  /** Makes it hang (SIGSTOP). */
  stop(): void {
    this.#process.kill("SIGSTOP");
  }

  /** Waits for its end. */
  ended(): Promise<void> {
    return this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#ended;
  }

  async #follow(): Promise<void> {
    const out = async () => {
      const lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(
        new TextLineStream(),
      );
      for await (const line of lines) {
        this.output += `${line}\n`;
        if (line.startsWith("{")) this.events.push(JSON.parse(line));
        this.#wake();
      }
    };
    const err = async () => {
      for await (const text of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
        this.output += text;
      }
    };
    await Promise.all([out(), err(), this.#process.status]);
    await this.#stdin.close().catch(() => {});
    this.#running = false;
    this.#wake();
  }

  #wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
