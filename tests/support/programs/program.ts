// Program: runs a file of ours as a process of its own, and waits for what it prints.
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { PARLEY_MAIN, type ParleyProgram, parleyProgram } from "./parley_program.ts";

/** What a finished program left. */
export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Longest time in ms that a program may run, or be waited for. */
const DEADLINE_MS = 60_000;

/** How to run a {@linkcode Program}. */
export interface ProgramOptions {
  /** Text for its standard input, which is closed after it. @default {""} */
  readonly stdin?: string | Uint8Array | undefined;
  /** Leave standard input open, for {@linkcode Program.type}. @default {false} */
  readonly keepStdin?: boolean | undefined;
  /** Added to the environment. */
  readonly env?: Record<string, string> | undefined;
  /** Flags for Deno itself. @default {[]} */
  readonly flags?: readonly string[] | undefined;
  /** Flags for Deno itself in place of the permissions that the file names. @default {those} */
  readonly onlyFlags?: readonly string[] | undefined;
  /** Most file descriptors that it may have (`ulimit -n`); needs a shell. @default {as many as we may} */
  readonly maxDescriptors?: number | undefined;
  /** Command that runs it, such as `ip netns exec <name>`. @default {none} */
  readonly prefix?: readonly string[] | undefined;
  /** Folder to run in. @default {that of the project} */
  readonly cwd?: string | undefined;
}

const ROOT = new URL("../../../", import.meta.url);

/**
 * A file of the project, run by this Deno with the permissions that its comments name in a line
 * with `deno run`, or with all permissions where there is none; for the command line see
 * {@linkcode parleyProgram}. It is killed when the test is done with it.
 */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #name: string;
  readonly #out = new Output();
  readonly #err = new Output();
  readonly #finished: Promise<ProgramResult>;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #running = true;

  /** Starts `path`, which is relative to the project unless it is absolute. */
  constructor(path: string, args: readonly string[] = [], options: ProgramOptions = {}) {
    this.#name = path;
    const { flags = [], maxDescriptors, prefix = [] } = options;
    const { command: deno, args: run } = path === PARLEY_MAIN
      ? parleyProgram(flags)
      : denoProgram(path, options.onlyFlags ?? [...permissions(path), ...flags]);
    const [command, commandArgs]: [string, string[]] = maxDescriptors === undefined
      ? [deno, [...run, ...args]]
      : ["sh", ["-c", `ulimit -n ${maxDescriptors} && exec "$0" "$@"`, deno, ...run, ...args]];
    const [first = command, ...others] = [...prefix, command, ...commandArgs];
    this.#child = new Deno.Command(first, {
      args: others,
      cwd: options.cwd ?? ROOT,
      env: { NO_COLOR: "1", ...options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#timer = setTimeout(() => this.kill("SIGKILL"), DEADLINE_MS);
    this.#stdin = options.keepStdin === true ? this.#child.stdin.getWriter() : undefined;
    this.#finished = this.#follow(options.stdin ?? "");
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What it has printed so far. */
  get stdout(): string {
    return this.#out.text;
  }

  /** What it has said so far. */
  get stderr(): string {
    return this.#err.text;
  }

  /** Waits until standard output matches; returns the match. Fails when the program ends before that. */
  async printed(wanted: RegExp): Promise<RegExpExecArray> {
    return await this.#wait(this.#out, wanted);
  }

  /** The same for standard error. */
  async said(wanted: RegExp): Promise<RegExpExecArray> {
    return await this.#wait(this.#err, wanted);
  }

  /** Waits until it says where it listens; returns the port. */
  async port(): Promise<number> {
    return Number((await this.printed(/port: (\d+)[\s,]/))[1]);
  }

  /** Writes to standard input; needs `keepStdin`. */
  async type(text: string): Promise<void> {
    await this.#stdin?.write(new TextEncoder().encode(text));
  }

  /** Sends a signal, unless it has ended already. */
  kill(signal: Deno.Signal): void {
    if (!this.#running) return;
    try {
      this.#child.kill(signal);
    } catch {
      // It ended in between.
    }
  }

  /** Waits for its end. */
  finish(): Promise<ProgramResult> {
    return this.#finished;
  }

  /** Kills it if it still runs, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.#finished;
  }

  async #follow(stdin: string | Uint8Array): Promise<ProgramResult> {
    const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
    const [{ code }] = await Promise.all([
      this.#child.status,
      // A program that ends before it has read all is no fault of the test.
      this.#stdin === undefined
        ? ReadableStream.from(bytes.length === 0 ? [] : [bytes]).pipeTo(this.#child.stdin).catch(
          () => {},
        )
        : undefined,
      this.#out.read(this.#child.stdout),
      this.#err.read(this.#child.stderr),
    ]);
    this.#running = false;
    await this.#stdin?.close().catch(() => {});
    clearTimeout(this.#timer);
    return { code, stdout: this.#out.text, stderr: this.#err.text };
  }

  async #wait(output: Output, wanted: RegExp): Promise<RegExpExecArray> {
    const match = await output.wait(wanted);
    if (match !== null) return match;
    throw new Error(`${this.#name} ended without ${wanted}:\n${this.#out.text}\n${this.#err.text}`);
  }
}

function denoProgram(path: string, flags: readonly string[]): ParleyProgram {
  const args = ["run", "--quiet", ...flags, "--config", file("deno.json"), file(path)];
  return { command: Deno.execPath(), args };
}

/** The documented command must be enough to run it. */
function permissions(path: string): string[] {
  const [, flags] =
    /^\/\/.*\bdeno run ((?:--allow-\S+ )+)/m.exec(Deno.readTextFileSync(file(path))) ?? [];
  return flags === undefined ? ["--allow-all"] : ["--no-prompt", ...flags.trim().split(" ")];
}

/** Runs a file of the project to its end. */
export async function runProgram(
  path: string,
  args: readonly string[] = [],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  await using program = new Program(path, args, options);
  return await program.finish();
}

/** The path of a file of the project; an absolute path stays as it is. */
export function file(path: string): string {
  return isAbsolute(path) ? path : fileURLToPath(new URL(path, ROOT));
}

/** One stream of text, and who waits for something in it. */
class Output {
  text = "";
  #ended = false;
  #waiting: PromiseWithResolvers<void> = Promise.withResolvers();

  async read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.text += text;
      this.#tell();
    }
    this.#ended = true;
    this.#tell();
  }

  async wait(wanted: RegExp): Promise<RegExpExecArray | null> {
    for (;;) {
      const match = wanted.exec(this.text);
      if (match !== null || this.#ended) return match;
      await this.#waiting.promise;
    }
  }

  #tell(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers();
  }
}
