// Tests of streams that the application drops without reading what came.
import { assertEquals } from "@std/assert";
import { MuxMemory } from "../../mux/mod.ts";
import { utf8 } from "../support/bytes.ts";
import { collectGarbage } from "../support/peers/garbage.ts";
import { MuxPair } from "../support/peers/mux_pair.ts";
import { until } from "../support/wait.ts";

/** Asks and does not look at the answer. */
async function askInVain(pair: MuxPair): Promise<void> {
  const [near, far] = await pair.open();
  await near.write(utf8("question"));
  await near.closeWrite();
  await far.read();
  await far.read();
  await far.write(utf8("answer"));
  await far.closeWrite();
  await near.closed;
}

Deno.test("MuxSession frees the answers of streams that were dropped unread, and keeps those that still can be read", async () => {
  const memory = new MuxMemory();
  await using pair = new MuxPair({ memory });
  const [near, far] = await pair.open();
  await far.write(utf8("kept"));
  await far.closeWrite();
  await near.closeWrite();
  await near.closed;
  for (let count = 0; count < 100; count++) await askInVain(pair);
  await until("they are freed", () => {
    collectGarbage();
    return pair.client.stats().bufferedBytes === 4;
  });
  assertEquals(memory.reservedBytes, 4);
  assertEquals(await near.read(), utf8("kept"));
});
