// Handlers of `parley serve`: an echo, a program for each message, or a program for each connection.
import { DeadlineSignal } from "../../../async/deadline.ts";
import { Connection } from "../../../connection.ts";
import { ClosedError, FramingError, ParleyError, TimeoutError } from "../../../errors.ts";
import type { Framing } from "../../../framing.ts";
import { MAX_TIMER_MS } from "../../../options/check.ts";
import type { Transport } from "../../../net/transport/transport.ts";
import type { Handler } from "../../../server.ts";
import type { ProgramClient, Programs, RunningProgram } from "./programs.ts";

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** Sends every message back. */
export const echo: Handler = async (connection) => {
  for await (const batch of connection.batches()) await connection.sendBatch(batch);
};

/** How programs are run for messages. */
export interface PerMessageOptions {
  readonly programs: Programs;
  /**
   * Whether a message is a line: the program then gets it with its end, and one line end behind its answer is
   * left out.
   */
  readonly lines: boolean;
  /** Greatest answer. */
  readonly maxAnswerBytes: number;
  /** Longest time that a program may take; 0 is off. */
  readonly timeoutMs: number;
}

/**
 * Runs the program for each message: the message is its standard input, its standard output is the answer.
 */
export function perMessage(options: PerMessageOptions): Handler {
  return async (connection) => {
    const gone = new AbortController();
    void connection.closed.then(({ error }) =>
      gone.abort(error ?? new ClosedError("ERR_CLOSED", "Closed"))
    );
    for await (const message of connection) {
      const answer = await answerTo(message, connection, options, gone.signal);
      await connection.send(answer);
    }
  };
}

/** Runs the program for one message of a client, and returns its answer. */
export async function answerTo(
  message: Uint8Array,
  connection: ProgramClient,
  { programs, lines, maxAnswerBytes, timeoutMs }: PerMessageOptions,
  gone: AbortSignal,
): Promise<Uint8Array> {
  using _turn = await programs.turns.hold(gone);
  const program = programs.start(connection);
  using ending = new DeadlineSignal({
    signal: gone,
    timeoutMs: timeoutMs || Infinity,
    late: () => {
      const text = `Cannot answer: "${programs.name}" did not end within ${timeoutMs} ms`;
      return new TimeoutError("ERR_READ_TIMEOUT", text);
    },
  });
  ending.signal.addEventListener("abort", () => program.end(), { once: true });
  try {
    const [answer] = await Promise.all([
      readAll(program.pipes, maxAnswerBytes),
      feed(program.pipes, lines ? withLineFeed(message) : message),
    ]);
    await checkEnd(program, programs.name, ending.signal);
    return lines ? withoutLineEnd(answer) : answer;
  } catch (error) {
    program.end();
    await program.ended;
    throw ending.signal.aborted ? ending.signal.reason : error;
  } finally {
    program.pipes.close();
  }
}

/** Waits for the end of a program; throws when it was no good one. */
async function checkEnd(program: RunningProgram, name: string, ending: AbortSignal): Promise<void> {
  const { success, code, signal } = await program.ended;
  ending.throwIfAborted();
  if (success) return;
  const how = signal === null ? `exit code ${code}` : signal;
  throw new Error(`Cannot answer: "${name}" ended with ${how}`);
}

async function readAll(pipes: Transport, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let chunk = await pipes.read(); chunk !== null; chunk = await pipes.read()) {
    length += chunk.length;
    // One line end more, which may be left out.
    if (length > maxBytes + 2) {
      const text =
        `Cannot answer: the program answered with more than ${maxBytes} bytes ("--max-message")`;
      throw new FramingError("ERR_FRAME_TOO_LARGE", text);
    }
    chunks.push(chunk);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Writes a program's input; one that does not read all of it is no fault. */
async function feed(pipes: Transport, input: Uint8Array): Promise<void> {
  try {
    await pipes.write(input);
    await pipes.closeWrite();
  } catch (error) {
    if (!(error instanceof ClosedError)) throw error;
  }
}

function withLineFeed(message: Uint8Array): Uint8Array {
  const line = new Uint8Array(message.length + 1);
  line.set(message);
  line[message.length] = LINE_FEED;
  return line;
}

function withoutLineEnd(answer: Uint8Array): Uint8Array {
  if (answer.at(-1) !== LINE_FEED) return answer;
  return answer.subarray(0, answer.at(-2) === CARRIAGE_RETURN ? -2 : -1);
}

/** How programs are run for connections. */
export interface PerConnectionOptions {
  readonly programs: Programs;
  /** How messages are told apart on the program's standard input and output. */
  readonly framing: Framing;
  /** Greatest message. */
  readonly maxMessageBytes: number;
  /** Longest time that a program may take; 0 is off. */
  readonly timeoutMs: number;
}

/**
 * Runs the program for each connection: messages go to its standard input, what it writes to standard output
 * goes back. The end of the peer's messages is the end of its input; the connection ends with the program.
 */
export function perConnection(options: PerConnectionOptions): Handler {
  const { programs, framing, maxMessageBytes, timeoutMs } = options;
  return async (connection) => {
    const gone = new AbortController();
    void connection.closed.then(({ error }) =>
      gone.abort(error ?? new ClosedError("ERR_CLOSED", "Closed"))
    );
    using _turn = await programs.turns.hold(gone.signal);
    const program = programs.start(connection);
    // A program may think, and read, as long as it likes: the limits of the connection hold.
    const pipes = new Connection(program.pipes, {
      framing,
      maxMessageBytes,
      messageTimeoutMs: 0,
      writeTimeoutMs: MAX_TIMER_MS,
    });
    using late = new DeadlineSignal({
      timeoutMs: timeoutMs || Infinity,
      late: () => {
        const text = `"${programs.name}" did not end within ${timeoutMs} ms`;
        return new TimeoutError("ERR_READ_TIMEOUT", text);
      },
    });
    late.signal.addEventListener("abort", () => program.end(), { once: true });
    gone.signal.addEventListener("abort", () => program.end(), { once: true });
    let failure: unknown;
    // Not waited for: once the program has ended, further messages of its peer do not matter.
    void feedMessages(connection, pipes).catch((error) => {
      failure = error;
      program.end();
    });
    try {
      for await (const message of pipes) await connection.send(message);
      await checkEnd(program, programs.name, late.signal);
    } catch (error) {
      program.end();
      await program.ended;
      throw late.signal.aborted ? late.signal.reason : failure ?? error;
    } finally {
      pipes.closeNow();
    }
  };
}

/**
 * Hands messages on until there are no more, or the program takes no more. Never rejects for the program's
 * sake.
 */
async function feedMessages(connection: Connection, pipes: Connection): Promise<void> {
  for await (const message of connection) {
    try {
      await pipes.send(message);
    } catch (error) {
      if (error instanceof FramingError || !(error instanceof ParleyError)) throw error;
      return;
    }
  }
  await pipes.closeWrite().catch(() => {});
}
