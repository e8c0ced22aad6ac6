// Servers and clients for tests: started, connected, and what they complained of.
import type {
  Connection,
  Framing,
  Handler,
  ServeErrorContext,
  ServeOptions,
  Server,
} from "@parley/parley";
import { connect, delimited, serve } from "@parley/parley";
import { text } from "../bytes.ts";

/** Messages that are lines: easy to write by hand. */
export const lines: { readonly framing: Framing } = { framing: delimited("\n") };

/** What a server passed to `onError`. */
export interface Complaint {
  readonly error: unknown;
  readonly phase: ServeErrorContext["phase"];
  readonly context: ServeErrorContext;
}

/** A server that listens, and what it complained of. Disposing it closes it at once. */
export class TestServer<Data = unknown> implements AsyncDisposable {
  readonly server: Server<Data>;
  readonly complaints: Complaint[];

  constructor(server: Server<Data>, complaints: Complaint[]) {
    this.server = server;
    this.complaints = complaints;
  }

  /** The phases and codes of all complaints, such as `handler ERR_RESET`. */
  get codes(): string[] {
    return this.complaints.map(({ phase, error }) => `${phase} ${codeOf(error)}`);
  }

  /** Connects a client of the same framing. */
  connect(options: Partial<Parameters<typeof connect>[0]> = {}): Promise<Connection> {
    return connect({ ...this.server.addr, ...lines, ...options } as Parameters<typeof connect>[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.abort();
    await this.server.finished;
  }
}

/** Answers every message with itself. */
export const echo: Handler = async (conn) => {
  for await (const message of conn) await conn.send(message);
};

/** Starts a server of lines on a free port; `options` come on top. */
export async function started<Data = unknown>(
  options: ServeOptions<Data> = {},
  handler: Handler<Data> = echo as Handler<Data>,
): Promise<TestServer<Data>> {
  const complaints: Complaint[] = [];
  const server = serve<Data>({
    ...lines,
    onError: (error, context) => complaints.push({ error, phase: context.phase, context }),
    ...options,
  }, handler);
  await server.ready;
  return new TestServer(server, complaints);
}

/** Sends a text and returns the answer as text. */
export async function ask(conn: Connection, question: string): Promise<string | null> {
  await conn.send(question);
  const answer = await conn.receive();
  return answer === null ? null : text(answer);
}

/** The code of an error of ours, the name of another's. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return error.code;
  }
  return error instanceof Error ? error.name : String(error);
}

/** The error with which a promise rejects. */
export async function errorOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error("It rejected with what is no Error", { cause: error });
  }
  throw new Error("It did not reject");
}
