// Tests of one worker: its end before it listens.
import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionPlaces } from "../../workers/connection_places.ts";
import { WORKER_URL } from "../../workers/worker.ts";
import { SERVER_BOOKS } from "../../workers/worker_books.ts";
import { WorkerSlot } from "../../workers/worker_slot.ts";

Deno.test("WorkerSlot.drain() cuts nothing when its thread is about to start", async () => {
  const slot = new WorkerSlot({
    worker: 1,
    names: SERVER_BOOKS,
    credentials: () => undefined,
    events: { onError() {}, onDeath() {}, onEnd() {}, onLine() {}, onOwn() {} },
    plan: {
      runs: "serve",
      threadUrl: WORKER_URL,
      module: new URL("./echo_handler.ts", import.meta.url).href,
      input: undefined,
      options: {},
      tls: undefined,
      maxWaiting: 1,
      allPlaces: ConnectionPlaces.allocate(),
    },
  });
  const started = slot.start({ hostname: "127.0.0.1", port: 0 });
  assertEquals(await slot.drain(1000), { error: null, cutConnections: 0, cutBytes: 0 });
  await assertRejects(() => started);
});
