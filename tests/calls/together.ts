// Together: both halves of a carrier in this process, so that a test sees either side.
import { answer, type Caller, caller, type Handlers } from "@parley/parley/calls";
import { testCerts } from "../support/programs/certs.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles } from "../support/wait.ts";
import {
  type Answering,
  type Calling,
  type Carrier,
  CARRIERS,
} from "./programs/carriers/carriers.ts";
import { memoryCarrier } from "./memory_carrier.ts";
import { table } from "./programs/contract.ts";
import { makeHandlers } from "./programs/handlers.ts";
import type { Half, Place } from "./programs/place.ts";

/** The handlers of the tests' contract. */
export type TableHandlers = Handlers<typeof table>;

/** No connection at all. */
export const MEMORY: string = "memory";

/** A carrier without its programs: one for each kind of port, and direction. */
export const PORTS: readonly string[] = [
  MEMORY,
  "mount, called by the joined side",
  "join, called by the mounted side",
  "peer at a hub, called by another",
  "IPC server, called by a client",
  "IPC client, called by its server",
  "server of connections",
  "connection to a server",
  "server, called by a client",
  "server, called by a pool",
];

/** Those of them that carry feeds. */
export const STREAM_PORTS: readonly string[] = PORTS.filter((name) =>
  name === MEMORY || CARRIERS[name]!.hasStreams
);

/** A carrier by name. */
export function carrierOf(name: string): Carrier {
  const carrier = name === MEMORY ? memoryCarrier() : CARRIERS[name];
  if (carrier === undefined) throw new Error(`There is no carrier ${name}`);
  return carrier;
}

/** What a carrier needs to start. */
export async function placeFor(carrier: Carrier, dir: string): Promise<Place> {
  if (carrier.needs === "unix") return { dir, unix: true };
  if (carrier.needs !== "tls") return { dir };
  const { ca, server, client } = await testCerts();
  return { dir, tls: { ca: ca.cert, server, client } };
}

/** Both halves, up and joined; disposing it ends both. */
export class Together implements AsyncDisposable {
  readonly answering: Half<Answering>;
  readonly calling: Half<Calling>;
  /** What is called through. */
  readonly via: Calling;
  readonly remote: Caller<typeof table>;
  /** Errors that the answerer reported. */
  readonly reported: unknown[];
  /** Takes no new calls. */
  readonly stop: () => void;
  readonly #dir: TempDir;

  private constructor(
    parts: Pick<Together, "answering" | "calling" | "via" | "reported" | "stop">,
    dir: TempDir,
  ) {
    this.answering = parts.answering;
    this.calling = parts.calling;
    this.via = parts.via;
    this.reported = parts.reported;
    this.stop = parts.stop;
    this.remote = caller(parts.via, table);
    this.#dir = dir;
  }

  /** Joins both halves; `handlers` replace those of the tests. */
  static async start(name: string, handlers: Partial<TableHandlers> = {}): Promise<Together> {
    const carrier = carrierOf(name);
    const dir = new TempDir();
    await using failed = new AsyncDisposableStack();
    failed.use(dir);
    const place = await placeFor(carrier, dir.path);
    const early = carrier.first === "caller" ? await carrier.calls(place) : undefined;
    if (early !== undefined) failed.defer(() => early.abort());
    const answering = await settles("its half is up", carrier.answers(early?.place ?? place));
    failed.defer(() => answering.abort());
    const reported: unknown[] = [];
    const all = { ...makeHandlers(() => {}).handlers, ...handlers };
    // A server answers before its first connection; a session is there after it.
    const stopping = (async () => {
      const options = { onError: (error: unknown) => void reported.push(error) };
      return answer(await answering.end(), table, all, options);
    })();
    const calling = early ?? await settles("ours is up", carrier.calls(answering.place));
    failed.defer(() => calling.abort());
    const stop = await settles("it answers", stopping);
    const via = await settles("we can call", Promise.resolve(calling.end()));
    failed.move();
    return new Together({ answering, calling, via, reported, stop }, dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.calling.abort();
    this.answering.abort();
    await settles("both halves end", Promise.all([this.calling.ended(), this.answering.ended()]));
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** Handlers that hang, and what became of their signals. */
export class Hanging {
  /** Handlers that have begun. */
  begun = 0;
  /** Reasons of the signals that have fired. */
  readonly reasons: unknown[] = [];
  readonly handlers: Partial<TableHandlers>;
  #news: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor() {
    this.handlers = {
      hangs: (_, { signal }) => this.#hang(signal),
      count: (_, { signal }) => this.#feed(signal),
    };
  }

  /** Waits until as many handlers have begun. */
  async hasBegun(count = 1): Promise<void> {
    await settles(`${count} handlers begin`, this.#until(() => this.begun >= count));
  }

  /** Waits until as many signals have fired; returns the last one's reason. */
  async hasEnded(count = 1): Promise<unknown> {
    await settles(`${count} signals fire`, this.#until(() => this.reasons.length >= count));
    return this.reasons[count - 1];
  }

  async #hang(signal: AbortSignal): Promise<never> {
    this.begun++;
    this.#wake();
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    this.reasons.push(signal.reason);
    this.#wake();
    throw signal.reason;
  }

  async *#feed(signal: AbortSignal): AsyncGenerator<never> {
    yield await this.#hang(signal);
  }

  async #until(check: () => boolean): Promise<void> {
    while (!check()) await this.#news.promise;
  }

  #wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
