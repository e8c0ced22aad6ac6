// Tests of waits for a peer: waitFor, and streams that wait until their target has joined.
import { assertEquals, assertRejects } from "@std/assert";
import { ClosedError, RemoteError, TimeoutError } from "@parley/parley";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";
import { askStream, echoStream, hubbed, mounted } from "../support/peers/wires.ts";

Deno.test("MountedWire.waitFor returns the session of a peer that is there, or comes", async () => {
  await using test = await mounted();
  const coming = test.server.waitFor("ann");
  const wire = await test.join("ann", { handlers: { echo: echoStream } });
  assertEquals((await settles("ann", coming)).id, wire.session?.id);
  const session = await test.server.waitFor("ann");
  assertEquals(await askStream(await session.open("echo"), "x"), "x");
});

Deno.test("MountedWire.waitFor ends by its time, its signal, and the end of the wire", async () => {
  await using test = await mounted();
  const late = await assertRejects(
    () => test.server.waitFor("ann", { timeoutMs: 5 }),
    TimeoutError,
    '"ann"',
  );
  assertEquals(late.code, "ERR_CONNECT_TIMEOUT");
  const controller = new AbortController();
  const waiting = assertRejects(
    () => test.server.waitFor("ann", { signal: controller.signal }),
    Error,
    "enough",
  );
  controller.abort(new Error("enough"));
  await waiting;
  await assertRejects(() => test.server.waitFor("a b"), TypeError, '"identity"');
  const ending = assertRejects(() => test.server.waitFor("ann"), ClosedError);
  await test.server.shutdown();
  await ending;
  await assertRejects(() => test.server.waitFor("ann"), ClosedError);
});

Deno.test("JoinedWire.waitFor returns a peer that the hub tells of, and ends by its time and with the wire", async () => {
  await using test = await hubbed({ presence: () => true });
  const ann = await test.join("ann", { reconnect: false });
  const coming = ann.waitFor("bob");
  await test.join("bob", { handlers: { echo: echoStream } });
  const bob = await settles("bob", coming);
  assertEquals(await askStream(await bob.open("echo"), "x"), "x");
  assertEquals((await ann.waitFor("bob")).identity, "bob");
  assertEquals(codeOf(await errorOf(ann.waitFor("cid", { timeoutMs: 5 }))), "ERR_CONNECT_TIMEOUT");
  const ending = errorOf(ann.waitFor("cid"));
  await ann.close();
  assertEquals(codeOf(await ending), "ERR_CLOSED");
  assertEquals(codeOf(await errorOf(ann.waitFor("cid"))), "ERR_CLOSED");
});

Deno.test("JoinedWire.waitFor ends as the close of the wire begins, however long its streams still take", async () => {
  await using test = await hubbed({ handlers: { echo: echoStream } });
  const ann = await test.join("ann");
  const stream = await ann.open("echo");
  const waiting = errorOf(ann.waitFor("bob"));
  const closing = ann.close();
  assertEquals(codeOf(await settles("the wait", waiting)), "ERR_CLOSED");
  assertEquals(codeOf(await settles("a later one", errorOf(ann.waitFor("bob")))), "ERR_CLOSED");
  assertEquals(await askStream(stream, "still"), "still");
  await closing;
});

Deno.test("open with waitForPeer is held by the hub until the target has joined, also in place of a session that is ending", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const opening = ann.peer("bob").open("echo", { waitForPeer: true });
  assertEquals(codeOf(await errorOf(ann.peer("bob").open("echo"))), "ERR_NO_PEER");
  const bob = await test.join("bob", { handlers: { echo: echoStream } });
  assertEquals(await askStream(await settles("the stream", opening), "x"), "x");
  await bob.close();
  await until("bob is gone", () => test.server.session("bob") === undefined);
  const again = ann.peer("bob").open("echo", { waitForPeer: true });
  await test.join("bob", { handlers: { echo: echoStream } });
  assertEquals(await askStream(await settles("the stream", again), "y"), "y");
});

Deno.test("open with waitForPeer rejects with ERR_NO_PEER when the target does not join within its time", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const options = { waitForPeer: true, timeoutMs: 1500 };
  await assertRejects(() => ann.peer("bob").open("echo", options), RemoteError, '"echo" to "bob"');
  await assertRejects(
    () => test.server.open("bob", "echo", options),
    RemoteError,
    '"echo" to "bob"',
  );
  const coming = test.server.open("bob", "echo", { waitForPeer: true });
  await test.join("bob", { handlers: { echo: echoStream } });
  assertEquals(await askStream(await settles("the stream", coming), "x"), "x");
  await assertRejects(
    // deno-lint-ignore no-explicit-any
    () => ann.open("echo", { waitForPeer: 1 as any }),
    TypeError,
    '"waitForPeer"',
  );
});

Deno.test("hub forgets a stream that waits for its target when its caller gives up", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const controller = new AbortController();
  const waiting = errorOf(
    ann.peer("bob").open("echo", { waitForPeer: true, signal: controller.signal }),
  );
  await until("the hub holds it", () => test.server.session("ann")?.stats().streams === 2);
  controller.abort(new Error("enough"));
  assertEquals((await waiting as Error).message, "enough");
  await until("the hub holds nothing", () => test.server.session("ann")?.stats().streams === 1);
});

Deno.test("JoinedWire.open that waits for a session ends by its time, and names the stream", async () => {
  await using test = await mounted();
  const wire = await test.join("ann", { reconnect: { policy: () => 60_000 } });
  test.server.abort();
  await until("the session is lost", () => wire.session === null);
  const error = await assertRejects(() => wire.open("x", { timeoutMs: 5 }), TimeoutError);
  assertEquals(
    error.message,
    'Cannot open the stream "x" to the server within 5 ms: there is no session',
  );
});
