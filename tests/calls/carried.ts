// Carried: calls over one carrier, between this process and a program that answers.
import { type Caller, caller } from "@parley/parley/calls";
import type { Child, ChildEvent } from "../ipc/children.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles, until } from "../support/wait.ts";
import type { Calling, Carrier } from "./programs/carriers/carriers.ts";
import { table } from "./programs/contract.ts";
import type { Half } from "./programs/place.ts";
import { type Answerers, startAnswerer } from "./answerers.ts";
import { carrierOf, placeFor } from "./together.ts";

/** A process may take long to start on a busy machine. */
const START_MS = 30_000;

/** Both halves of a carrier, up and joined; disposing it ends both. */
export class Carried implements AsyncDisposable {
  readonly carrier: Carrier;
  /** The program that answers. */
  readonly program: Child;
  /** Our half. */
  readonly half: Half<Calling>;
  /** What we call through. */
  readonly via: Calling;
  /** The calls of the contract. */
  readonly remote: Caller<typeof table>;
  readonly #dir: TempDir;
  readonly #staysUp: boolean;
  /** How many events the program had reported before. */
  readonly #eventsBefore: number;

  private constructor(
    parts: Pick<Carried, "carrier" | "program" | "half" | "via">,
    dir: TempDir,
    staysUp: boolean,
    eventsBefore: number,
  ) {
    this.carrier = parts.carrier;
    this.program = parts.program;
    this.half = parts.half;
    this.via = parts.via;
    this.#dir = dir;
    this.#staysUp = staysUp;
    this.#eventsBefore = eventsBefore;
    this.remote = caller(parts.via, table);
  }

  /** Joins both halves, by a program of its own or one of those that answer for many carriers. */
  static async start(name: string, answerers?: Answerers): Promise<Carried> {
    const carrier = carrierOf(name);
    const dir = new TempDir();
    await using failed = new AsyncDisposableStack();
    failed.use(dir);
    const place = await placeFor(carrier, dir.path);
    const early = carrier.first === "caller" ? await carrier.calls(place) : undefined;
    if (early !== undefined) failed.defer(() => early.abort());
    const program = failed.use(answerers?.program ?? startAnswerer());
    const eventsBefore = program.events.length;
    await program.tell(JSON.stringify({ name, place: early?.place ?? place }));
    const there: ChildEvent = await settles(
      "the program is up",
      program.next((event) => event["place"]),
      START_MS,
    );
    const half = early ?? await carrier.calls(there["place"]);
    failed.defer(() => half.abort());
    await settles("the program answers", program.next((event) => event["answering"]), START_MS);
    const via = await half.end();
    failed.move();
    const staysUp = answerers !== undefined;
    return new Carried({ carrier, program, half, via }, dir, staysUp, eventsBefore);
  }

  /** What the program reported since this carrier began. */
  get events(): readonly ChildEvent[] {
    return this.program.events.slice(this.#eventsBefore);
  }

  /** Waits for an event of the program that names `id`. */
  async event(what: string, id: string): Promise<ChildEvent> {
    return await settles(`${what} ${id}`, this.program.next((event) => event[what] === id));
  }

  /** How many handlers run over there, and how many streams are open. */
  async running(): Promise<{ running: number; streams: number }> {
    await this.program.tell("running");
    const event = this.program.next((event) => event["running"] !== undefined);
    const { running, streams } = await settles("what runs", event);
    return { running, streams };
  }

  /** Bytes that the program keeps in its heap. */
  async kept(): Promise<number> {
    await this.program.tell("kept");
    const event = this.program.next((event) => event["kept"] !== undefined);
    return (await settles("what it keeps", event))["kept"];
  }

  /** Waits until no handler runs over there. */
  async isIdle(): Promise<void> {
    await until("no handler runs", async () => (await this.running()).running === 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _ = this.#dir;
    this.half.abort();
    if (this.#staysUp && this.program.running) await this.#endTheirs();
    else await this.program[Symbol.asyncDispose]();
    await settles("our half ends", this.half.ended());
  }

  /** Ends the other half, and keeps its program for the next carrier. */
  async #endTheirs(): Promise<void> {
    await using failed = new AsyncDisposableStack();
    failed.use(this.program);
    await this.program.tell("end");
    await settles("the other half ends", this.program.next((event) => event["ended"]));
    failed.move();
  }
}
