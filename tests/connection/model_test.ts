// Random schedules of everything a connection can do, over a slicing transport, against a naive
// model: two lists.
import { assert, assertEquals } from "@std/assert";
import { Connection, type ReceiveOptions } from "../../connection.ts";
import { ClosedError, FramingError, TimeoutError } from "../../errors.ts";
import { chunked, delimited, type Framing, lengthPrefixed, varintPrefixed } from "../../framing.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import { text } from "../support/bytes.ts";
import { settle } from "../support/simulation/memory_connections.ts";
import { SlicedTransport } from "../support/simulation/memory_sliced.ts";
import { ManualSweeper } from "../support/simulation/memory_sweeper.ts";
import { forSeedsAsync, Random } from "../support/random.ts";

const framings: readonly Framing[] = [
  delimited("\n"),
  delimited("\r\n"),
  lengthPrefixed(),
  lengthPrefixed({ bytes: 2, endian: "little" }),
  varintPrefixed(),
  chunked(),
];

/** What a schedule did to one end; anything of it may cut short what that end receives. */
type Deed = "drain" | "close" | "abort";

/** One end, and the model of it: what it sent, and what it got. */
class End {
  readonly sent: string[] = [];
  readonly got: string[] = [];
  readonly deeds = new Set<Deed>();
  readonly name: string;
  readonly connection: Connection;
  readonly random: Random;
  /** Everything that must settle. */
  readonly pending: Promise<unknown>[] = [];
  #receiving = false;
  #count = 0;

  constructor(name: string, connection: Connection, random: Random) {
    this.name = name;
    this.connection = connection;
    this.random = random;
  }

  /** Does one thing at random. */
  step(): void {
    const kind = this.random.int(0, 99);
    if (kind < 35) this.#send();
    else if (kind < 45) this.#sendBatch();
    else if (kind < 65) this.#receive(async (options) => [await this.connection.receive(options)]);
    else if (kind < 85) this.#receive((options) => this.#receiveBatch(options));
    else if (kind < 92) this.#track(this.connection.flush());
    else if (kind < 94) this.#track(this.connection.closeWrite());
    else if (kind < 96) this.#deed("drain", () => this.connection.drain());
    else if (kind < 97) this.#deed("close", () => this.#track(this.connection.close()));
    else if (kind < 98 && this.random.chance(0.5)) {
      this.#deed("abort", () => this.connection.abort());
    }
  }

  /** Says that no more comes and receives to the end. */
  async finish(): Promise<void> {
    this.#track(this.connection.closeWrite());
    while (this.#receiving) await settle(1);
    try {
      for await (const batch of this.connection.batches()) this.got.push(...batch.map(text));
    } catch (error) {
      this.#check(error);
    }
  }

  #send(): void {
    const before = this.connection.stats().messagesOut;
    const message = `${this.name}${this.#count++} ${"x".repeat(this.random.length(3000))}`;
    const accepted = this.connection.send(message);
    this.#track(accepted);
    if (this.connection.stats().messagesOut > before) this.sent.push(message);
  }

  #sendBatch(): void {
    const before = this.connection.stats().messagesOut;
    const messages = Array.from(
      { length: this.random.int(0, 5) },
      () => `${this.name}${this.#count++} ${"x".repeat(this.random.length(3000))}`,
    );
    this.#track(this.connection.sendBatch(messages));
    if (this.connection.stats().messagesOut > before) this.sent.push(...messages);
  }

  async #receiveBatch(options: ReceiveOptions): Promise<(Uint8Array | null)[]> {
    const maxMessages = this.random.pick([1, 2, Infinity]);
    const batch = await this.connection.receiveBatch({ ...options, maxMessages });
    if (batch !== null) assert(batch.length > 0 && batch.length <= maxMessages);
    return batch ?? [null];
  }

  #receive(receive: (options: ReceiveOptions) => Promise<(Uint8Array | null)[]>): void {
    if (this.#receiving) return;
    this.#receiving = true;
    const controller = new AbortController();
    const options = this.random.pick([{}, { timeoutMs: 0 }, { timeoutMs: 1 }, {
      signal: controller.signal,
    }]);
    const received = receive(options).then((messages) => {
      for (const message of messages) if (message !== null) this.got.push(text(message));
    }, (error) => this.#check(error)).finally(() => this.#receiving = false);
    this.pending.push(received);
    if (options.signal !== undefined) {
      this.pending.push(settle(this.random.int(0, 3)).then(() => controller.abort("no")));
    }
  }

  #deed(deed: Deed, body: () => void): void {
    this.deeds.add(deed);
    body();
  }

  #track(promise: Promise<void>): void {
    this.pending.push(promise.catch((error) => this.#check(error)));
  }

  #check(error: unknown): void {
    assert(
      error === "no" || error instanceof ClosedError || error instanceof TimeoutError ||
        error instanceof FramingError,
      `${error}`,
    );
  }
}

/** The messages that came are the first that were sent; all of them, unless one side cut the flow. */
function compare(sender: End, receiver: End, error: Error | null): void {
  assertEquals(receiver.got, sender.sent.slice(0, receiver.got.length));
  const mayMiss = receiver.deeds.size > 0 || sender.deeds.has("abort") || error !== null;
  if (!mayMiss) {
    assertEquals(receiver.got.length, sender.sent.length, `${sender.name} sent more than came`);
  }
}

Deno.test("Connection gives what its peer sent, in order, whatever both do", async () => {
  await forSeedsAsync(150, async (random) => {
    const options = {
      framing: random.pick(framings),
      highWaterBytes: random.pick([1, 1000, 100_000]),
      maxQueuedBytes: random.pick([100_000, 10_000_000]),
      readAheadBytes: random.pick([1024, 65536]),
      closeTimeoutMs: 20,
      sweeper: new ManualSweeper(),
    };
    const [near, far] = memoryPair({ bufferBytes: random.pick([1, 100, 65536]) });
    const seed = random.int(0, 2 ** 30);
    const a = new End(
      "a",
      new Connection(new SlicedTransport(near, new Random(seed)), options),
      random,
    );
    const b = new End(
      "b",
      new Connection(new SlicedTransport(far, new Random(seed + 1)), options),
      random,
    );
    for (let steps = random.int(1, 150); steps > 0; steps--) {
      random.pick([a, b]).step();
      if (random.chance(0.3)) await settle(random.int(1, 2));
    }
    await Promise.all([a.finish(), b.finish()]);
    await Promise.allSettled([a.connection.close(), b.connection.close()]);
    const [aEnd, bEnd] = await Promise.all([a.connection.closed, b.connection.closed]);
    await Promise.all([...a.pending, ...b.pending]);

    compare(a, b, aEnd.error ?? bEnd.error);
    compare(b, a, aEnd.error ?? bEnd.error);
    for (const [end, { error, unsentBytes }] of [[a, aEnd], [b, bEnd]] as const) {
      assertEquals(end.connection.stats().messagesOut, end.sent.length);
      assertEquals(end.connection.stats().messagesIn, end.got.length);
      if (error === null) assertEquals(unsentBytes, 0);
    }
  });
});
