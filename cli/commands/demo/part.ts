// Part: one process of the demo, seen from the process that started it.
import { endsWithin } from "../../../async/deadline.ts";
import type { PartEvent, PartEventOf, PartOrder } from "./protocol.ts";

/** Most of what a part says on standard error that is kept to be shown when it fails, in characters. */
const MAX_KEPT_TEXT = 4000;

/** A process of the demo. Disposing of it ends it, in order or not. */
export class Part implements AsyncDisposable {
  /** Which part it is. */
  readonly name: string;
  readonly #child: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  readonly #events: AsyncIterator<PartEvent>;
  readonly #onProgress: (done: number) => void;
  /** The end of what it wrote to standard error, once it has ended. */
  readonly said: Promise<string>;

  /** Starts the same program in the same way as this one, as a part of the demo. */
  constructor(
    name: string,
    args: readonly string[],
    onProgress: (done: number) => void = () => {},
  ) {
    this.name = name;
    this.#onProgress = onProgress;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...programArgs(), "demo", "--part", name, ...args],
      env: registryOfCheckout(),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#orders = this.#child.stdin.getWriter();
    this.#events = readEvents(this.#child.stdout);
    this.said = keepText(this.#child.stderr);
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Sends an order. */
  async order(order: PartOrder): Promise<void> {
    await this.#orders.write(new TextEncoder().encode(`${order}\n`)).catch(() => {}); // shows elsewhere
  }

  /**
   * Waits for an event; progress is reported meanwhile.
   *
   * @throws {Error} when the part says something else or ends, with what it said last
   */
  async expect<Name extends PartEvent["event"]>(name: Name): Promise<PartEventOf<Name>> {
    for (;;) {
      const { value, done } = await this.#events.next();
      if (done) {
        const { code } = await this.#child.status;
        throw new Error(`The process "${this.name}" ended with code ${code}:\n${await this.said}`);
      }
      if (value.event === name) return value as PartEventOf<Name>;
      if (value.event !== "progress") {
        throw new Error(`The process "${this.name}" told "${value.event}", not "${name}"`);
      }
      this.#onProgress(value.done);
    }
  }

  /** Kills it, if it still runs. */
  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  /** Closes its input, so that it ends, and waits; kills it when it does not. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = this.#orders.close().catch(() => {}).then(() => this.#child.status);
    if (!await endsWithin(ended, 2000)) this.kill();
    await ended;
    await this.#events.return?.();
    await this.said;
  }
}

/** How to run this program once more with the runtime. */
function programArgs(): string[] {
  if (Deno.build.standalone) return [];
  return ["run", "--quiet", "--allow-all", new URL("../../main.ts", import.meta.url).href];
}

/**
 * In a checkout, where the standard library is: a command that was installed from it does not hand
 * on how it finds that.
 */
function registryOfCheckout(): Record<string, string> {
  const registry = new URL("../../../tools/registry/", import.meta.url);
  if (Deno.build.standalone || registry.protocol !== "file:" || Deno.env.has("JSR_URL")) return {};
  try {
    Deno.statSync(registry);
    return { JSR_URL: registry.href };
  } catch {
    return {};
  }
}

async function* readEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<PartEvent, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}

/** The end of what comes over a stream. */
async function keepText(stream: ReadableStream<Uint8Array>): Promise<string> {
  let kept = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    kept = (kept + text).slice(-MAX_KEPT_TEXT);
  }
  return kept.trim();
}
