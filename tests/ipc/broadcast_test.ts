// broadcast() to the clients of an IPC server: two that read, and one that has stopped.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { broadcast } from "@parley/parley";
import { connectIpc, type IpcClient, listenIpc } from "@parley/parley/ipc";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles, until } from "../support/wait.ts";

const TYPE = 7;
const DATA = new Uint8Array(64 * 1024);

for (const slow of ["drop", "end"] as const) {
  Deno.test(`broadcast ${slow}: an IPC client that stopped costs the two that read nothing`, async () => {
    await using folder = new TempDir();
    const place = { name: "news", path: `${folder.path}/s.sock`, onError: () => {} };
    const server = await listenIpc({ ...place, highWaterBytes: 2 ** 18, maxQueuedBytes: 2 ** 20 });
    const clients: IpcClient[] = [];
    for (let count = 0; count < 3; count++) {
      clients.push(await connectIpc({ ...place, reconnect: false }));
      await until("it is connected", () => server.clients.size === count + 1);
    }
    const [stopped] = server.clients.values();
    const seen = [0, 0];
    const reading = seen.map(async (_, at) => {
      for await (const { type, data } of clients[at + 1]!) {
        assertEquals([type, data.length], [TYPE, DATA.length]);
        seen[at]!++;
      }
    });
    const totals = { sent: 0, dropped: 0, ended: 0, failed: 0 };
    let rounds = 0;
    while (totals.dropped + totals.ended < 1 && rounds < 2000) {
      const result = await broadcast(server.clients, DATA, { type: TYPE, slow });
      totals.sent += result.sent;
      totals.dropped += result.dropped;
      totals.ended += result.ended;
      totals.failed += result.failed;
      rounds++;
      await until("the two have it", () => seen.every((count) => count === rounds));
    }
    const key = slow === "drop" ? "dropped" : "ended";
    assertEquals(totals, { sent: 3 * rounds - 1, dropped: 0, ended: 0, failed: 0, [key]: 1 });
    if (slow === "end") await settles("it is gone", stopped!.closed);
    assert(rounds > 1 && stopped!.status === (slow === "drop" ? "connected" : "closed"));
    for (const client of clients) client.abort();
    server.abort();
    await Promise.allSettled([...reading, ...clients.map(({ closed }) => closed), server.finished]);
  });
}

Deno.test("broadcast to IPC clients refuses a type out of range, and a message without a type", async () => {
  await using folder = new TempDir();
  const place = { name: "news", path: `${folder.path}/s.sock` };
  await using server = await listenIpc(place);
  await using client = await connectIpc(place);
  await until("it is connected", () => server.clients.size === 1);
  for (const type of [0, 2 ** 32]) {
    await assertRejects(() => broadcast(server.clients, "m", { type }), RangeError, `"type"`);
  }
  await assertRejects(() => broadcast(server.clients as never, "m"), TypeError);
  assertEquals(await broadcast(server.clients, "m", { type: 2 ** 32 - 1, slow: "wait" }), {
    sent: 1,
    dropped: 0,
    ended: 0,
    failed: 0,
  });
  assertEquals((await client.receive())?.type, 2 ** 32 - 1);
});
