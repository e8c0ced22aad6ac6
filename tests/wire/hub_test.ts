// Tests of the hub: streams between clients, who may what, presence, backpressure and ends.
import { assert, assertEquals } from "@std/assert";
import type { JoinedWire } from "@parley/parley/wire";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { atRest, settles, until } from "../support/wait.ts";
import { askStream, echoStream, hubbed, readText } from "../support/peers/wires.ts";

Deno.test("hub brings a stream from one client to another, with the opener as authenticated", async () => {
  await using test = await hubbed();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  bob.handle("who", (stream) => stream.write(JSON.stringify([stream.from, stream.meta])));
  const stream = await ann.peer("bob").open("who", { meta: { x: 1 } });
  assertEquals(JSON.parse(await readText(stream)), ["ann", { x: 1 }]);
});

Deno.test("hub asks authorize with from, to and name, and passes refusals on", async () => {
  const asked: string[] = [];
  await using test = await hubbed({
    authorize: ({ kind, from, to, name }) => {
      if (kind === "stream") asked.push(`${from} ${to} ${name}`);
      return name !== "secret";
    },
  });
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  bob.handle("wait", async (stream) => void await stream.read());
  bob.handle("secret", () => {});
  const codes: string[] = [];
  const attempt = async (to: string, name: string) => {
    codes.push(`${to} ${name} ${codeOf(await errorOf(ann.peer(to).open(name)))}`);
  };
  await attempt("bob", "secret");
  await attempt("bob", "nothing");
  await attempt("cid", "wait");
  await attempt("ann", "wait");
  await attempt(bob.session?.id ?? "", "wait");
  assertEquals(codes.map((line) => line.replace(/^\S{36} /, "id ")), [
    "bob secret ERR_FORBIDDEN",
    "bob nothing ERR_NO_HANDLER",
    "cid wait ERR_NO_PEER",
    "ann wait ERR_FORBIDDEN",
    "id wait ERR_NO_PEER",
  ]);
  assertEquals(asked.slice(0, 3), ["ann bob secret", "ann bob nothing", "ann cid wait"]);
});

Deno.test("hub passes half-close both ways and many bytes unchanged", async () => {
  await using test = await hubbed();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  bob.handle("echo", echoStream);
  const text = "0123456789abcdef".repeat(200_000);
  const stream = await ann.peer("bob").open("echo");
  const answer = readText(stream);
  await stream.write(text);
  await stream.closeWrite();
  assertEquals(await answer === text, true);
  assertEquals(await stream.closed, undefined);
});

Deno.test("hub passes a reset on, in both directions, even while nothing flows", async () => {
  await using test = await hubbed();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  const ends: string[] = [];
  bob.handle("held", async (stream) => void ends.push(codeOf(await errorOf(stream.read()))));
  bob.handle("cut", (stream) => stream.abort());
  const held = await ann.peer("bob").open("held");
  held.abort();
  await until("bob learns of it", () => ends.length === 1);
  assertEquals(ends, ["ERR_RESET"]);
  const cut = await ann.peer("bob").open("cut");
  assertEquals(codeOf(await settles("the read", errorOf(cut.read()))), "ERR_RESET");
  await until(
    "the hub holds nothing",
    () => test.server.sessions.every((session) => session.stats().streams === 1),
  );
});

Deno.test("hub holds a fast sender up for a slow reader, within two windows, and nobody else", async () => {
  await using test = await hubbed();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  const go = Promise.withResolvers<void>();
  let read = 0;
  bob.handle("slow", async (stream) => {
    await go.promise;
    for await (const chunk of stream) read += chunk.length;
    await stream.write(`${read}`);
  });
  bob.handle("echo", echoStream);
  const stream = await ann.peer("bob").open("slow");
  let sent = 0;
  const chunk = new Uint8Array(64 * 1024);
  const sending = (async () => {
    for (; sent < 64 * chunk.length; sent += chunk.length) await stream.write(chunk);
    await stream.closeWrite();
  })();
  const stalled = await atRest(() => sent);
  assert(stalled <= 1024 * 1024, `${stalled} bytes were taken though nobody reads`);
  assertEquals(await askStream(await ann.peer("bob").open("echo"), "quick"), "quick");
  go.resolve();
  await sending;
  assertEquals(await readText(stream), `${64 * chunk.length}`);
});

Deno.test("hub tells who is there and what they handle, to those who may see it", async () => {
  await using test = await hubbed({
    presence: ({ identity, of }) => identity !== "eve" && of !== "shy",
  });
  const ann = await test.join("ann", { handlers: { chat: () => {} } });
  const eve = await test.join("eve");
  const bob = await test.join("bob");
  await test.join("shy");
  const seen = (wire: JoinedWire) => JSON.stringify([...wire.peers].sort());
  await until("bob sees ann and eve", () => seen(bob) === '[["ann",["chat"]],["eve",[]]]');
  await until("ann sees bob and eve", () => seen(ann) === '[["bob",[]],["eve",[]]]');
  bob.handle("files", () => {});
  await until("ann sees the new name", () => seen(ann) === '[["bob",["files"]],["eve",[]]]');
  await bob.close();
  await until("ann sees that bob is gone", () => seen(ann) === '[["eve",[]]]');
  assertEquals(seen(eve), "[]");
});

Deno.test("hub: clients go on after it was closed and listens again", async () => {
  await using first = await hubbed();
  const { port } = first.server.addr as { port: number };
  const [ann, bob] = [
    await first.join("ann"),
    await first.join("bob", { handlers: { echo: echoStream } }),
  ];
  const stream = await ann.peer("bob").open("echo");
  first.server.abort();
  assertEquals(codeOf(await settles("the open stream", errorOf(stream.read()))), "ERR_RESET");
  await first.server.finished;
  await using _second = await hubbed({ port });
  await until(
    "they talk again",
    () =>
      ann.peer("bob").open("echo").then(
        (again) => askStream(again, "x").then((text) => text === "x"),
        () => false,
      ),
  );
  await Promise.all([ann.close(), bob.close()]);
});
