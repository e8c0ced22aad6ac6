// ModelBackend: a server that answers, with the outages that servers have: it restarts in order,
// crashes, or a balancer ends its connections.
import type { Connection } from "../../../connection.ts";
import { serve, type ServeOptions, type Server } from "../../../server.ts";
import { codeOf } from "./model_flow.ts";
import type { Stage } from "./scenes/model_stage.ts";
import { decodeQuestion, encodeAnswer, helloOf, type Question } from "./model_talk.ts";

/** Time that a drain is given. */
const DRAIN_MS = 600_000;

/** What befalls a server. */
export interface Outage {
  readonly atMs: number;
  /**
   * `"orderly"`: shutdown, and again. `"crash"`: all is reset. `"expire"`: its connections are
   * ended in order from between.
   */
  readonly kind: "orderly" | "crash" | "expire";
  /** Time until it listens again. @default {0} */
  readonly goneMs?: number | undefined;
}

/** Options of {@linkcode ModelBackend}. */
export interface BackendOptions {
  readonly port: number;
  readonly outages?: readonly Outage[] | undefined;
  readonly serve?: ServeOptions | undefined;
  /** The first message of each link must be a hello, and is answered. @default {false} */
  readonly wantsHello?: boolean | undefined;
}

/** A question that was taken, and over which link. */
export interface TakenQuestion extends Question {
  readonly link: string;
}

/** What it took of each program, in its order. */
export type Taken = Map<string, TakenQuestion[]>;

/** One server at one port, whatever befalls it. */
export class ModelBackend {
  readonly taken: Taken = new Map();
  readonly port: number;
  readonly #stage: Stage;
  readonly #options: BackendOptions;
  #server: Server | undefined;
  /** What a handler does whose process has crashed counts for nothing. */
  #crashes = 0;
  /** When it last came back. */
  upAtMs = 0;

  constructor(stage: Stage, options: BackendOptions) {
    this.#stage = stage;
    this.#options = options;
    this.port = options.port;
  }

  /** The server that runs, or ran last. */
  get server(): Server {
    return this.#server!;
  }

  async start(): Promise<void> {
    const server = this.#server = serve({
      drainTimeoutMs: DRAIN_MS,
      ...this.#options.serve,
      port: this.port,
      signal: this.#stage.user.signal,
      onError: () => {},
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    }, (conn) => this.#handle(conn));
    await server.ready;
    this.upAtMs = this.#stage.clock.now();
  }

  /** Goes through its outages. */
  async live(): Promise<void> {
    const { clock } = this.#stage;
    for (const { atMs, kind, goneMs = 0 } of this.#options.outages ?? []) {
      await clock.sleep(Math.max(0, atMs - clock.now()));
      if (kind === "expire") {
        for (const link of this.#stage.hosts.of(this.port)) link.expire();
        continue;
      }
      if (kind === "crash") {
        for (const link of this.#stage.hosts.of(this.port)) link.cut();
        this.#crashes++;
        this.server.abort();
      } else await this.server.shutdown();
      await this.server.finished;
      if (goneMs > 0) await clock.sleep(goneMs);
      await this.start();
    }
  }

  /** Ends in order, and reports what is left. */
  async stop(): Promise<void> {
    await this.server.shutdown();
    await this.server.finished;
    const { connectionsNow, pendingNow, queuedBytes } = this.server.stats();
    if (connectionsNow + pendingNow + queuedBytes > 0) {
      this.#stage.fail(
        `a server that has stopped has ${connectionsNow} connections and ${queuedBytes} bytes`,
      );
    }
  }

  async #handle(conn: Connection): Promise<void> {
    const life = this.#crashes;
    if (this.#options.wantsHello) {
      const first = await conn.receive();
      if (first === null) return;
      const who = helloOf(first);
      if (who === null) {
        this.#stage.fail(
          `a message came before the hello: question ${decodeQuestion(first).number}`,
        );
      }
      await conn.send("welcome");
    }
    for await (const message of conn) {
      if (life !== this.#crashes) return;
      const again = helloOf(message);
      if (again !== null) this.#stage.fail(`${again} said hello twice on one link`);
      else await this.#answer(conn, decodeQuestion(message));
    }
  }

  async #answer(conn: Connection, question: Question): Promise<void> {
    const { clock } = this.#stage;
    const { who, parts, workMs, everyMs } = question;
    const taken = this.taken.get(who) ?? [];
    this.taken.set(who, taken);
    taken.push({ ...question, link: conn.id });
    if (workMs > 0) await clock.sleep(workMs);
    for (let part = 0; part < parts; part++) {
      if (part > 0 && everyMs > 0) await clock.sleep(everyMs);
      await conn.send(encodeAnswer(question, part));
    }
  }
}

/** The message of what went wrong, in one line. */
export function lineOf(error: unknown): string {
  return error instanceof Error ? `${codeOf(error)} (${error.message})` : codeOf(error);
}
