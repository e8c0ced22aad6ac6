// A storm: a hundred clients, all sizes, random disconnects; every message arrives once and in
// order, or its sender learns of the loss.
import { assert, assertEquals } from "@std/assert";
import { AuthError, ClosedError } from "../../errors.ts";
import { connectIpc, type IpcClient, type IpcClientOptions, listenIpc } from "../../ipc/mod.ts";
import { bytesInUse } from "../support/peers/garbage.ts";
import { openDescriptors, settles, until } from "../support/wait.ts";
import { Channel } from "./channels.ts";
import { newSeed, Random } from "./support.ts";

const CLIENTS = 100;
const MESSAGES = 12;
/** Sizes in bytes, the large ones rarely. */
const SIZES = [1, 1, 64, 64, 500, 4096, 9000, 65_536, 200_000];
const LARGEST = 3 * 1024 * 1024;

/** What a message of a client must be: its number, then bytes made from both. */
function make(client: number, number: number, size: number): Uint8Array {
  const data = new Uint8Array(Math.max(size, 8)).fill((client * 7 + number) & 255);
  const view = new DataView(data.buffer);
  view.setUint32(0, client);
  view.setUint32(4, number);
  return data;
}

/** A busy machine may take its time. */
const PATIENT = { timeoutMs: 60_000 };

interface Sender {
  /** Highest number that is known to have arrived. */
  confirmed: number;
  /** Highest number that was given to `send`. */
  sent: number;
  /** How often it learned of a loss. */
  losses: number;
}

/**
 * Sends all messages, in groups; begins a group anew under new numbers when a flush says that the
 * last may be lost.
 */
async function send(client: IpcClient, id: number, sender: Sender, random: Random): Promise<void> {
  for (let done = 0; done < MESSAGES;) {
    const group = Math.min(1 + random.below(4), MESSAGES - done);
    try {
      for (let i = 0; i < group; i++) {
        const size = random.below(60) === 0 ? LARGEST : SIZES[random.below(SIZES.length)]!;
        sender.sent++;
        await client.send(1, make(id, sender.sent, size));
      }
      await client.flush();
      sender.confirmed = sender.sent;
      done += group;
    } catch (error) {
      const { code } = error as { code?: string };
      // On a busy machine a client may be away for longer than a message waits.
      const losses = ["ERR_RESET", "ERR_CLOSED", "ERR_GOING_AWAY", "ERR_WRITE_TIMEOUT"];
      assert(losses.includes(code ?? ""), String(error));
      sender.losses++;
      await client.flush().catch(() => {}); // what was reported already
    }
  }
}

/** Connects, again where the server cut the client off before it was in. */
async function connected(options: IpcClientOptions): Promise<IpcClient> {
  for (;;) {
    try {
      return await connectIpc(options);
    } catch (error) {
      assert(error instanceof ClosedError || error instanceof AuthError, String(error));
    }
  }
}

Deno.test("a hundred clients with random disconnects: each message arrives once, in order, or its sender is told", async () => {
  const seed = newSeed();
  const random = new Random(seed);
  await using channel = new Channel();
  const descriptors = openDescriptors();
  const received = Array.from({ length: CLIENTS }, () => [] as number[]);
  const senders = Array.from(
    { length: CLIENTS },
    (): Sender => ({ confirmed: 0, sent: 0, losses: 0 }),
  );
  {
    await using server = await listenIpc(channel.options);
    const reading = (async () => {
      for await (const { data } of server) {
        const view = new DataView(data.buffer, data.byteOffset);
        const [client, number] = [view.getUint32(0), view.getUint32(4)];
        const fill = (client * 7 + number) & 255;
        for (let i = 8; i < data.length; i++) {
          if (data[i] !== fill) throw new Error(`Wrong data from ${client}`);
        }
        received[client]!.push(number);
      }
    })();
    let cutting = true;
    const cutter = (async () => {
      while (cutting) {
        await new Promise((resolve) => setTimeout(resolve, 8));
        const clients = [...server.clients.values()];
        clients[random.below(Math.max(1, clients.length))]?.abort(new Error("cut"));
      }
    })();
    const work = senders.map(async (sender, id) => {
      const client = await connected({
        ...channel.options,
        handshakeTimeoutMs: 20_000,
        connectTimeoutMs: 30_000,
      });
      await send(client, id, sender, new Random(seed + id + 1));
      await client.close().catch(() => {}); // all is confirmed: being cut now means nothing
    });
    await settles("all are sent", Promise.all(work), 60_000);
    cutting = false;
    await cutter;
    await until(
      "all are read",
      () =>
        senders.every(({ confirmed }, id) => confirmed === 0 || received[id]!.includes(confirmed)),
    );
    await server.shutdown();
    await reading;
  }
  for (const [id, sender] of senders.entries()) {
    const numbers = received[id]!;
    for (let i = 1; i < numbers.length; i++) {
      assert(
        numbers[i]! > numbers[i - 1]!,
        `client ${id}, seed ${seed}: ${numbers} not once and in order`,
      );
    }
    // What is missing was reported: with no loss, nothing is.
    if (sender.losses === 0) {
      assertEquals(numbers.length, sender.sent, `client ${id}, seed ${seed}`);
    }
    assertEquals(numbers.at(-1), sender.confirmed, `client ${id}, seed ${seed}`);
  }
  assert(senders.some(({ losses }) => losses > 0), "nobody was ever cut off");
  await until("descriptors return", () => openDescriptors() <= descriptors);
});

Deno.test("memory returns after clients with large messages have come and gone", async () => {
  await using channel = new Channel();
  const round = async () => {
    await using server = await listenIpc({ ...channel.options, onQuery: (data) => data });
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => connectIpc(channel.options)),
    );
    await Promise.all(clients.map((client) => client.query(new Uint8Array(LARGEST), PATIENT)));
    await Promise.all(clients.map((client) => client.close()));
    await until("all have gone", () => server.clients.size === 0);
  };
  await round();
  const before = await bytesInUse();
  for (let i = 0; i < 4; i++) await round();
  // 240 MB went through.
  await until("memory is back", async () => await bytesInUse() - before < 8_000_000);
});
