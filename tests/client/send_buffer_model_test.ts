// SendBuffer against a model: random lives of links that come and go.
import { assertEquals } from "@std/assert";
import { concat, text, utf8 } from "../support/bytes.ts";
import { settle } from "../support/simulation/memory_connections.ts";
import { type Link, lose, makeSendBuffer, written } from "../support/peers/send_buffers.ts";
import { forSeedsAsync, type Random } from "../support/random.ts";

/** Lets the link receive something; returns how many messages were wholly written by then. */
async function hear({ connection, transport }: Link): Promise<number> {
  await settle(1);
  transport.feed(utf8("answer\n"));
  const { writtenBytes } = connection.sending;
  await settle(1);
  void connection.receive({ timeoutMs: 0 });
  return text(concat(transport.writes).subarray(0, writtenBytes)).split("\n").length - 1;
}

/** One random life: links come and go, writes stall, messages are numbered. */
async function runModel(random: Random): Promise<void> {
  const highWaterBytes = random.int(1, 3000);
  const { buffer, link } = makeSendBuffer({ highWaterBytes, maxQueuedBytes: 1 << 20 });
  const accepted = new Set<number>();
  const onWire: number[] = [];
  let pushed = 0;
  let gone = 0;
  /** Messages of this link that were wholly written when it last received something. */
  let heard = 0;
  let near: Link | null = null;
  const leave = async () => {
    if (near === null) return;
    const loss = (await lose(buffer, near))!;
    // Whatever the transport saw the beginning of was either written or is uncertain: no more, no less.
    const seen = near.transport.writes.length === 0
      ? []
      : written(near).split("\n").filter((line) => line !== "");
    assertEquals(loss.earlierMessages + loss.handedMessages + loss.uncertainMessages, seen.length);
    assertEquals(loss.earlierMessages, heard);
    heard = 0;
    onWire.push(...seen.map((line) => parseInt(line)));
    gone += seen.length;
    assertEquals(loss.keptMessages, pushed - gone);
    near = null;
  };
  for (let step = 0; step < 60; step++) {
    const dice = random.int(1, 10);
    if (dice <= 5) {
      for (let i = random.int(1, 6); i > 0; i--) {
        const number = pushed++;
        const message = `${number}`.padEnd(8 + random.length(2000), ".");
        buffer.push(utf8(message)).then(() => accepted.add(number));
      }
    } else if (dice === 6) {
      await leave();
    } else if (near === null) {
      near = link();
      if (random.chance(0.7)) near.transport.hold();
      buffer.attach(near.connection);
    } else if (dice === 7) near.transport.releaseAll();
    else if (dice === 8) near.transport.hold();
    else near.transport.release();
    if (near !== null && random.chance(0.2)) heard = await hear(near);
    if (random.chance(0.6)) await settle(random.int(1, 2));
  }
  await leave();
  near = link();
  buffer.attach(near.connection);
  await buffer.flush();
  await leave();
  assertEquals(onWire, Array.from({ length: pushed }, (_, i) => i));
  assertEquals(accepted.size, pushed);
}

Deno.test("SendBuffer loses nothing, sends nothing twice, keeps the order, and its counts are true", async () => {
  await forSeedsAsync(60, runModel);
});
