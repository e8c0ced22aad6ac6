// A Client whose server is killed or drained again and again, in real processes: no accepted
// message is lost silently.
import { assert, assertEquals } from "@std/assert";
import { Client, type ClientStatusEvent, type LinkLoss } from "@parley/parley";
import { DialWatch } from "../support/dial_watch.ts";
import { Program } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

const RESTARTS = 20;

/** Processes that are loaded ahead, so that a restart does not have to wait for one. */
const AHEAD = 3;

/** Server processes on one port, one at a time. */
class Servers implements AsyncDisposable {
  readonly #dir: string;
  readonly #programs: Program[] = [];
  #port = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Lets the server of this number listen; returns the port. */
  async listen(index: number): Promise<number> {
    // The first one chooses the port that the others get.
    const wanted = index === 0 ? 1 : Math.min(index + 1 + AHEAD, RESTARTS + 1);
    while (this.#programs.length < wanted) this.#load();
    const program = this.#programs[index]!;
    await program.printed(/loaded/);
    program.kill("SIGUSR2");
    return this.#port = await program.port();
  }

  /** Waits until it is at work. */
  async busy(index: number): Promise<void> {
    await this.#programs[index]!.printed(/busy/);
  }

  /** Ends it once it is at work. */
  async end(index: number, signal: Deno.Signal): Promise<void> {
    await this.busy(index);
    const program = this.#programs[index]!;
    program.kill(signal);
    const { code, stderr } = await program.finish();
    assertEquals([code, stderr], [signal === "SIGTERM" ? 0 : 137, ""]);
  }

  /** The numbers that it handled, in order. */
  handled(index: number): number[] {
    const bytes = Deno.readFileSync(this.#logOf(index));
    const view = new DataView(bytes.buffer);
    return Array.from({ length: bytes.length >> 2 }, (_, i) => view.getUint32(4 * i));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) await program[Symbol.asyncDispose]();
  }

  #load(): void {
    const args = [`${this.#port}`, this.#logOf(this.#programs.length)];
    this.#programs.push(new Program("tests/client/numbered_server.ts", args));
  }

  #logOf(index: number): string {
    return `${this.#dir}/${index}.log`;
  }
}

function numbered(number: number): Uint8Array {
  const message = new Uint8Array(1000);
  new DataView(message.buffer).setUint32(0, number);
  return message;
}

/**
 * Links take numbers in order, so each link has a range of them: what it was given and did not give
 * back. What servers handled must be the beginning of each range, in order, and nothing else.
 * Returns how many of the accepted ones were not handled.
 */
function checkLinks(
  handled: readonly number[],
  losses: readonly LinkLoss[],
  accepted: number,
): number {
  let from = 0;
  let at = 0;
  for (const { handedMessages, uncertainMessages } of losses) {
    const to = from + handedMessages + uncertainMessages;
    for (let next = from; next < to && handled[at] === next; next++) at++;
    from = to;
  }
  // Every accepted message belongs to one link, and every handled one was handled once.
  assertEquals([from, at], [accepted, handled.length]);
  // The last link was closed in order: all of it was handled.
  const { uncertainMessages, keptMessages } = losses.at(-1)!;
  assertEquals([uncertainMessages, keptMessages, handled.at(-1)], [0, 0, accepted - 1]);
  return accepted - handled.length;
}

Deno.test({
  name: `Client loses no accepted message silently over ${RESTARTS} restarts of its server`,
  // There are no such signals.
  ignore: Deno.build.os === "windows",
  async fn() {
    await using dir = new TempDir();
    await using servers = new Servers(dir.path);
    using dials = new DialWatch();
    const port = await servers.listen(0);
    const client = new Client({
      port,
      highWaterBytes: 1 << 17,
      reconnect: { minDelayMs: 2, maxDelayMs: 30 },
    });
    const events: ClientStatusEvent[] = [];
    const watching = (async () => {
      for await (const event of client.statuses()) events.push(event);
    })();
    let accepted = 0;
    let stop = false;
    const sending = (async () => {
      while (!stop) {
        await client.send(numbered(accepted));
        accepted++;
      }
    })();
    for (let index = 0; index < RESTARTS; index++) {
      await servers.end(index, index % 2 === 0 ? "SIGKILL" : "SIGTERM");
      await servers.listen(index + 1);
    }
    await servers.busy(RESTARTS);
    stop = true;
    await sending;
    await client.close();
    await watching;
    await servers.end(RESTARTS, "SIGTERM");

    const losses = events.flatMap(({ loss }) => loss === undefined ? [] : [loss]);
    const handled = Array.from({ length: RESTARTS + 1 }, (_, index) => servers.handled(index))
      .flat();
    const unhandled = checkLinks(handled, losses, accepted);
    // A server that was killed had messages in its kernel: the loss must have counted them.
    assert(unhandled > 0 && handled.length > 300 * RESTARTS);
    assert(losses.length > RESTARTS);
    assertEquals(client.stats().overall.connectionsOpened, losses.length);
    assertEquals(dials.mostAtOnce, 1);
    const delays = events.flatMap(({ delayMs }) => delayMs === undefined ? [] : [delayMs]);
    assert(delays.length >= RESTARTS && delays.every((ms) => ms >= 2 && ms <= 30));
    assertEquals(new Set(delays).size, delays.length);
  },
});
