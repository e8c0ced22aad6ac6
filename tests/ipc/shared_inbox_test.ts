// Tests of SharedInbox: many inboxes read as one, in turns, and rounds of one message each.
import { assertEquals, assertRejects } from "@std/assert";
import { TimeoutError } from "../../errors.ts";
import { Inbox, type IpcMessage } from "../../ipc/link/inbox.ts";
import { receiveRound, SharedInbox } from "../../ipc/shared_inbox.ts";

const DATA = new Uint8Array(0);

/** A shared inbox over some inboxes, the first of which is number 0. */
function desk(count: number): { shared: SharedInbox<IpcMessage>; inboxes: Inbox<IpcMessage>[] } {
  const shared = new SharedInbox<IpcMessage>();
  const toMessage = (type: number, data: Uint8Array) => ({ type, data });
  const inboxes = Array.from(
    { length: count },
    () => new Inbox<IpcMessage>({ highWaterBytes: 1000, toMessage, shared }),
  );
  return { shared, inboxes };
}

Deno.test("SharedInbox lets inboxes that have messages take turns", async () => {
  const { shared, inboxes: [one, two] } = desk(2);
  for (const type of [10, 11, 12]) one!.receive(type, DATA);
  for (const type of [20, 21]) two!.receive(type, DATA);
  const types: number[] = [];
  for (let i = 0; i < 5; i++) types.push((await shared.read({}))!.type);
  assertEquals(types, [10, 20, 11, 21, 12]);
  await assertRejects(() => shared.read({ timeoutMs: 0 }), TimeoutError);
});

Deno.test("SharedInbox hands a message to a read that waits, and nothing of it stays in its inbox", async () => {
  const { shared, inboxes: [one, two] } = desk(2);
  const reads = [shared.read({}), shared.read({})];
  two!.receive(20, DATA);
  one!.receive(10, DATA);
  assertEquals([one!.size, two!.size], [0, 0]);
  assertEquals((await Promise.all(reads)).map((message) => message?.type), [20, 10]);
  one!.receive(11, DATA);
  assertEquals(one!.size, 1);
});

Deno.test("SharedInbox leaves a message to a read of its own inbox that waits", async () => {
  const { shared, inboxes: [one] } = desk(1);
  const everywhere = shared.read({});
  const own = one!.read();
  for (const type of [10, 11]) one!.receive(type, DATA);
  assertEquals([(await own)?.type, (await everywhere)?.type], [10, 11]);
});

Deno.test("SharedInbox skips what a reader of an inbox took, and ends once all is read", async () => {
  const { shared, inboxes: [one, two] } = desk(2);
  one!.receive(10, DATA);
  two!.receive(20, DATA);
  assertEquals((await one!.read())?.type, 10);
  shared.end();
  assertEquals((await shared.read({}))?.type, 20);
  assertEquals(await shared.read({}), null);
});

Deno.test("readRound takes one message of each inbox, or at its time limit what there is", async () => {
  const { inboxes } = desk(2);
  const round = receiveRound(inboxes, {});
  inboxes[0]!.receive(10, DATA);
  inboxes[0]!.receive(11, DATA);
  inboxes[1]!.receive(20, DATA);
  assertEquals((await round).map(({ type }) => type), [10, 20]);
  assertEquals((await receiveRound(inboxes, { timeoutMs: 0 })).map(({ type }) => type), [11]);
});
