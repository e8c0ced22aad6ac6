// What the processes of the demo say to each other: tasks over the connection, events and orders over pipes.
import { createHash } from "node:crypto";

/** The first message on each connection: what it is for. */
export type Task =
  /** Lines, each of which is sent back; at the end of input a {@linkcode LinesReceipt}. */
  | { readonly task: "lines" }
  /** The bytes of a file, to be stored; then a {@linkcode FileReceipt}. */
  | { readonly task: "file"; readonly bytes: number }
  /** Jobs, each of which is answered. */
  | { readonly task: "jobs" };

/** What the server counted of the lines. */
export interface LinesReceipt {
  /** How many there were. */
  readonly lines: number;
  /** Over all of them, each with its line feed, in hex. */
  readonly sha256: string;
}

/** What the server stored. */
export interface FileReceipt {
  /** Bytes that were received. */
  readonly bytes: number;
  /** Over all of them, in hex. */
  readonly sha256: string;
}

/** What a process of the demo reports to the process that started it: a line of JSON on standard output. */
export type PartEvent =
  | { readonly event: "listening"; readonly port: number }
  | { readonly event: "progress"; readonly done: number }
  | {
    readonly event: "lines";
    readonly sent: number;
    readonly wrong: number;
    readonly receipt: LinesReceipt;
  }
  | {
    readonly event: "file";
    readonly sha256: string;
    readonly ms: number;
    readonly receipt: FileReceipt;
  }
  | { readonly event: "connected"; readonly protocol: string | null }
  | {
    readonly event: "answered";
    readonly answered: number;
    readonly wrong: number;
    readonly latenciesMs: number[];
  }
  | { readonly event: "handled"; readonly handled: number }
  | {
    readonly event: "drained";
    readonly ms: number;
    readonly connections: number;
    readonly error: string | null;
  }
  | { readonly event: "ended"; readonly failures: readonly string[] };

/** An event by its name. */
export type PartEventOf<Name extends PartEvent["event"]> = Extract<PartEvent, { event: Name }>;

/** What it is sent: a line on its standard input. The end of input means: stop now. */
export type PartOrder =
  /** The server reports how many jobs it has handled; a client sends its share of jobs. */
  | "count"
  /** A client sends jobs without pause until the connection ends. */
  | "rush"
  /** The server drains. */
  | "drain";

/** Bytes of the head of a job and of its answer: number of the client, number of the job. */
export const JOB_HEAD_BYTES = 8;

/** Name that server and clients use for the server. */
export const SERVER_NAME = "localhost";

/** Files that the processes of the demo share. */
export interface DemoFiles {
  /** Certificate of the authority. */
  readonly ca: string;
  /** The server's certificate. */
  readonly serverCert: string;
  /** The server's key. */
  readonly serverKey: string;
  /** The clients' certificate. */
  readonly clientCert: string;
  /** The clients' key. */
  readonly clientKey: string;
  /** The file that is sent. */
  readonly sent: string;
  /** The file as the server stored it. */
  readonly received: string;
  /** Ids of the jobs that the server has handled. */
  readonly handled: string;
}

/** Names of the demo's files in a folder that is removed in the end. */
export function demoFiles(folder: string): DemoFiles {
  return {
    ca: `${folder}/ca.pem`,
    serverCert: `${folder}/server.pem`,
    serverKey: `${folder}/server.key`,
    clientCert: `${folder}/client.pem`,
    clientKey: `${folder}/client.key`,
    sent: `${folder}/sent.bin`,
    received: `${folder}/received.bin`,
    handled: `${folder}/handled.ids`,
  };
}

/** Name of the file with the ids of the jobs that one process of clients had answered. */
export function answeredFile(folder: string, part: number): string {
  return `${folder}/answered-${part}.ids`;
}

/** Reports an event to the process that started this one. */
export function tell(event: PartEvent): void {
  // deno-lint-ignore no-console
  console.log(JSON.stringify(event));
}

/** A task or receipt as a message. */
export function encodeJson(value: Task | LinesReceipt | FileReceipt): string {
  return JSON.stringify(value);
}

/** A task or receipt from a message. The peer is the demo itself, proved by its certificate. */
export function decodeJson<T extends Task | LinesReceipt | FileReceipt>(
  message: Uint8Array | null,
): T {
  if (message === null) throw new Error("The peer ended where it should have said something");
  return JSON.parse(new TextDecoder().decode(message));
}

/** One number for client and job, exact. */
export function jobId(message: Uint8Array): number {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
}

/** What the answer to a job says about its content: the job's work. */
export function jobSum(message: Uint8Array): number {
  let sum = 0;
  for (let i = JOB_HEAD_BYTES; i < message.length; i++) {
    sum = (Math.imul(sum, 31) + message[i]!) >>> 0;
  }
  return sum;
}

/** SHA-256 over pieces. */
export class Sha256 {
  readonly #hash = createHash("sha256");

  /** Adds a piece. */
  update(bytes: Uint8Array | string): void {
    this.#hash.update(bytes);
  }

  /** The hash in hex; nothing can be added after. */
  hex(): string {
    return this.#hash.digest("hex");
  }
}

/** Writes job ids for the count in the end. */
export async function writeIds(path: string, ids: readonly number[]): Promise<void> {
  await Deno.writeFile(path, new Uint8Array(Float64Array.from(ids).buffer));
}

/** Reads what {@linkcode writeIds} wrote. */
export async function readIds(path: string): Promise<Float64Array> {
  return new Float64Array((await Deno.readFile(path)).buffer);
}
