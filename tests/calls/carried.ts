// Carried: calls over one carrier, between this process and a program that answers.
import { type Caller, caller } from "@parley/parley/calls";
import { Child, type ChildEvent } from "../ipc/children.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles, until } from "../support/wait.ts";
import type { Calling, Carrier } from "./programs/carriers/carriers.ts";
import { table } from "./programs/contract.ts";
import type { Half } from "./programs/place.ts";
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

  private constructor(
    parts: { carrier: Carrier; program: Child; half: Half<Calling>; via: Calling; dir: TempDir },
  ) {
    this.carrier = parts.carrier;
    this.program = parts.program;
    this.half = parts.half;
    this.via = parts.via;
    this.#dir = parts.dir;
    this.remote = caller(parts.via, table);
  }

  /** Starts the program and joins both halves. */
  static async start(name: string): Promise<Carried> {
    const carrier = carrierOf(name);
    const dir = new TempDir();
    await using failed = new AsyncDisposableStack();
    failed.use(dir);
    const place = await placeFor(carrier, dir.path);
    const early = carrier.first === "caller" ? await carrier.calls(place) : undefined;
    if (early !== undefined) failed.defer(() => early.abort());
    const args = [name, JSON.stringify(early?.place ?? place)];
    const program = failed.use(new Child("tests/calls/programs/answerer.ts", args));
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
    return new Carried({ carrier, program, half, via, dir });
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
    this.half.abort();
    await settles("our half ends", this.half.ended());
    await this.program[Symbol.asyncDispose]();
    await this.#dir[Symbol.asyncDispose]();
  }
}
