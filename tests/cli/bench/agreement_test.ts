// Whether `parley bench` agrees with a load loop that knows nothing of it, and with what the server did.
import { assert } from "@std/assert";
import { runLoad } from "../../../cli/commands/bench/load.ts";
import { Requests } from "../../../cli/commands/bench/requests.ts";
import { lengthPrefixed } from "../../../framing.ts";
import { rawLoad } from "../../support/peers/raw_load.ts";

/**
 * Rounds after which it is first decided, and the most there are: other programs on the machine
 * disturb some.
 */
const [FEWEST_ROUNDS, MOST_ROUNDS] = [3, 25];

const phases = { warmUpMs: 60, durationMs: 350 };

/** Connections of each load, and the answers that each of them gets in a second. */
const [CONNECTIONS, PER_SECOND] = [4, 300];

/**
 * A server that sends back what it gets, by the clock: so many frames a second on each connection,
 * and what is late at once. So a slow machine changes nothing of the rate, as long as it has a
 * little time.
 */
class PacedServer implements AsyncDisposable {
  readonly port: number;
  readonly #listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  readonly #frameBytes: number;
  readonly #served: Promise<unknown>;

  constructor(frameBytes: number) {
    this.#frameBytes = frameBytes;
    this.port = this.#listener.addr.port;
    this.#served = this.#serveAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#served;
  }

  async #serveAll(): Promise<void> {
    const all: Promise<void>[] = [];
    try {
      for await (const socket of this.#listener) all.push(this.#serve(socket).catch(() => {}));
    } finally {
      await Promise.all(all);
    }
  }

  async #serve(socket: Deno.TcpConn): Promise<void> {
    using _socket = socket;
    const beganMs = performance.now();
    for (let sent = 0;; sent++) {
      const frame = new Uint8Array(this.#frameBytes);
      for (let length = 0; length < frame.length;) {
        const count = await socket.read(frame.subarray(length));
        if (count === null) return;
        length += count;
      }
      const dueMs = beganMs + (sent + 1) * 1000 / PER_SECOND;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      for (let at = 0; at < frame.length;) at += await socket.write(frame.subarray(at));
    }
  }
}

Deno.test("runLoad() agrees within 15 % with a load loop that shares no code with it, and with the rate of the server", async () => {
  const limits = { maxMessageBytes: 2 ** 20 };
  const framing = lengthPrefixed();
  const requests = Requests.ofSize(60, framing.encoder(limits));
  const frame = requests.batch(0, 1).bytes;
  await using server = new PacedServer(frame.length);
  const load = { connections: CONNECTIONS, inFlight: 4, ...phases };

  const ours = async () => {
    const { tally, measuredMs } = await runLoad({
      ...load,
      target: { port: server.port },
      requests,
      decoder: () => framing.decoder(limits),
      perSecond: null,
      maxRequests: Infinity,
      timeoutMs: 10_000,
      verify: true,
      signal: new AbortController().signal,
      onProgress: () => {},
    });
    assert(tally.mismatches === 0 && tally.unanswered === 0 && tally.errors.size === 0);
    return tally.answersInTime * 1000 / measuredMs;
  };
  const raw = () => rawLoad({ ...load, port: server.port, frame });

  const wanted = CONNECTIONS * PER_SECOND;
  const [ourRates, rawRates]: [number[], number[]] = [[], []];
  while (ourRates.length < MOST_ROUNDS) {
    const [our, other] = await Promise.all([ours(), raw()]);
    ourRates.push(our / wanted);
    rawRates.push(other / wanted);
    const agree = [ourRates, rawRates].every((rates) => Math.abs(median(rates) - 1) < 0.075);
    if (ourRates.length >= FEWEST_ROUNDS && agree) return;
  }
  const [our, other] = [ourRates, rawRates].map((rates) =>
    rates.map((rate) => rate.toFixed(2)).join(", ")
  );
  throw new Error(`Of the rate of the server, runLoad() saw ${our}; the other loop ${other}`);
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
