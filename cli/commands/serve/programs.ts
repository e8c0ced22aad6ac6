// Programs: starts the program that answers clients, without a shell; bounds how many run; leaves none
// behind.
import { Semaphore } from "../../../async/semaphore.ts";
import type { Connection } from "../../../connection.ts";
import { escapeForLog, KindRateLimiter } from "../../../log/text.ts";
import type { Logger } from "../../../log/logger.ts";
import type { Transport } from "../../../net/transport/transport.ts";
import { addressText } from "../../command/address.ts";
import { StreamTransport } from "../../process/stream_transport.ts";
import { Leftovers, type RunningThread } from "./leftovers.ts";

/** Time in ms that a program has to end after SIGTERM. */
const GRACE_MS = 1000;

/** Longest line of a program's talk, in characters. */
const LINE_CHARACTERS = 1024;

/** Lines of programs that are logged in ten seconds. */
const LINES_PER_INTERVAL = 200;

/** What a program does not get from our environment: our secrets, and what only we may say. */
const WITHHELD: ReadonlySet<string> = new Set([
  "PARLEY_TOKEN",
  "PARLEY_SECRET",
  "PARLEY_PEER",
  "PARLEY_PEER_NAME",
  "PARLEY_CONNECTION",
]);

/** For whom a program runs. */
export type ProgramClient =
  & Pick<Connection, "id" | "remoteAddr">
  & Partial<Pick<Connection, "tls">>
  & {
    /** Resolves when it is gone: then all that was started for it is ended. */
    readonly closed: Promise<unknown>;
  };

/** Options of {@linkcode Programs}. */
export interface ProgramsOptions {
  /** Path of the program. */
  readonly command: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** What ends the last message that they write where nothing does. @default {nothing} */
  readonly lastEnd?: Uint8Array | undefined;
  /** Programs that run at a time. */
  readonly maxPrograms: number;
  /** Takes what programs write to standard error. */
  readonly logger: Logger;
  /** Where programs run, when they run in several threads. @default {in this thread alone} */
  readonly thread?: RunningThread | undefined;
}

/** The program of a server, as often as it runs. */
export class Programs implements AsyncDisposable {
  /** How many may run at a time; further clients wait. */
  readonly turns: Semaphore;
  readonly #options: ProgramsOptions;
  readonly #running = new Set<RunningProgram>();
  readonly #lines = new KindRateLimiter({ maxPerInterval: LINES_PER_INTERVAL });
  readonly #leftovers: Leftovers;
  /** Numbers of the clients for whom a program ran, while they are there. */
  readonly #clients = new Map<ProgramClient, number>();
  #lastClient = 0;
  #lastRun = 0;

  /** Starts nothing yet. */
  constructor(options: ProgramsOptions) {
    this.#options = options;
    this.turns = new Semaphore(options.maxPrograms);
    this.#leftovers = new Leftovers(options.thread);
  }

  /** How messages call the program. */
  get name(): string {
    return this.#options.command.slice(this.#options.command.lastIndexOf("/") + 1);
  }

  /** Starts the program for a connection. */
  start(connection: ProgramClient): RunningProgram {
    const { command, args, lastEnd } = this.#options;
    const onLine = (line: string) => this.#tell(connection, line);
    const run = ++this.#lastRun;
    const env = {
      ...environmentFor(connection),
      ...this.#leftovers.mark(this.#numberOf(connection), run),
    };
    const onEnd = () => this.#leftovers.endRun(run);
    const program = new RunningProgram(command, args, { env, lastEnd, onLine, onEnd });
    this.#running.add(program);
    void program.ended.finally(() => this.#running.delete(program));
    return program;
  }

  /** The number of a client; once it is gone, what was started for it is ended. */
  #numberOf(client: ProgramClient): number {
    const known = this.#clients.get(client);
    if (known !== undefined) return known;
    const number = ++this.#lastClient;
    this.#clients.set(client, number);
    void client.closed.catch(() => {}).then(() => {
      this.#clients.delete(client);
      this.#leftovers.endClient(number);
    });
    return number;
  }

  /** Ends all that still run, and waits until they have. */
  async endAll(): Promise<void> {
    const ends = [...this.#running].map((program) => {
      program.end();
      return program.ended;
    });
    await Promise.all([...ends, this.#leftovers.endAll()]);
  }

  /** The same as {@linkcode endAll}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.endAll();
  }

  /** Kills all that still run, without waiting. */
  killAll(): void {
    for (const program of this.#running) program.kill();
    this.#leftovers.killAll();
  }

  #tell(connection: ProgramClient, line: string): void {
    const decision = this.#lines.ask("line", performance.now());
    if (!decision.write) return;
    const more = decision.leftOut === 0 ? "" : ` (${decision.leftOut} lines were left out)`;
    const text = escapeForLog(line, LINE_CHARACTERS);
    this.#options.logger.info(`${this.name}: ${text}${more}`, { connection: connection.id });
  }
}

/** How a {@linkcode RunningProgram} runs. */
interface RunOptions {
  readonly env: Record<string, string>;
  readonly lastEnd: Uint8Array | undefined;
  /** Takes each line of its standard error. */
  readonly onLine: (line: string) => void;
  /** Called when it is made to end. */
  readonly onEnd: () => void;
}

/** One run of a program. */
export class RunningProgram {
  /** Its standard input and output. */
  readonly pipes: Transport;
  /** Resolves when it has ended and its standard error is read; never rejects. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #onEnd: () => void;
  #alive = true;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Starts it. */
  constructor(
    command: string,
    args: readonly string[],
    { env, lastEnd, onLine, onEnd }: RunOptions,
  ) {
    this.#onEnd = onEnd;
    this.#child = new Deno.Command(command, {
      args: [...args],
      clearEnv: true,
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      // A group of its own: Ctrl-C at a terminal is for us alone, and its own children can be ended with it.
      detached: true,
    }).spawn();
    const { stdin, stdout, stderr } = this.#child;
    this.pipes = new StreamTransport({
      name: "program",
      readable: stdout,
      writable: stdin,
      lastEnd,
    });
    this.ended = this.#follow(readLines(stderr, onLine));
  }

  /** Asks it to end; kills it when it does not. */
  end(): void {
    if (this.#timer !== undefined) return;
    this.#signal("SIGTERM");
    this.#timer = setTimeout(() => this.kill(), GRACE_MS);
    if (!this.#alive) clearTimeout(this.#timer);
    this.#onEnd();
  }

  /** Ends it at once. */
  kill(): void {
    this.#signal("SIGKILL");
    this.pipes.close();
  }

  async #follow(talk: Promise<void>): Promise<Deno.CommandStatus> {
    const status = await this.#child.status;
    await talk;
    this.#alive = false;
    clearTimeout(this.#timer);
    return status;
  }

  #signal(signal: Deno.Signal): void {
    if (!this.#alive) return;
    try {
      if (Deno.build.os === "windows") this.#child.kill(signal);
      else Deno.kill(-this.#child.pid, signal);
    } catch {
      // It ended in between.
    }
  }
}

/** What a program learns about its client. */
function environmentFor(connection: ProgramClient): Record<string, string> {
  const env = Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => !WITHHELD.has(name)),
  );
  env["PARLEY_PEER"] = addressText(connection.remoteAddr);
  env["PARLEY_CONNECTION"] = connection.id;
  const subject = connection.tls?.peerCertificate?.subject;
  if (subject !== undefined) env["PARLEY_PEER_NAME"] = subject;
  return env;
}

/** Reads lines, cut at the length that is logged. Never rejects. */
async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  try {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = (lines.pop() ?? "").slice(0, LINE_CHARACTERS + 1);
      for (const line of lines) onLine(line.replace(/\r$/, ""));
    }
  } catch {
    // What it had to say is over.
  }
  if (rest !== "") onLine(rest);
}
