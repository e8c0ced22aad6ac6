// Tests of mount and join: sessions, named streams both ways, hooks, retries and ends.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AuthError, RemoteError, TimeoutError } from "@parley/parley";
import { join, mount, type WireSession } from "@parley/parley/wire";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { FreezingProxy } from "../support/peers/freezing_proxy.ts";
import { until } from "../support/wait.ts";
import { askStream, echoStream, mounted, readText } from "../support/peers/wires.ts";

Deno.test("mount and join open streams by name to each other", async () => {
  await using test = await mounted({ handlers: { echo: echoStream } });
  const wire = await test.join("ann", { handlers: { name: (stream) => stream.write("I am ann") } });

  assertEquals(await askStream(await wire.open("echo"), "hello"), "hello");
  assertEquals(await readText(await test.server.open("ann", "name")), "I am ann");
});

Deno.test("mount gives handlers the authenticated opener and what it said about the stream", async () => {
  await using test = await mounted({
    handlers: {
      who: async (stream, session) => {
        await stream.write(
          JSON.stringify([stream.name, stream.from, stream.meta, session.identity]),
        );
      },
    },
  });
  const wire = await test.join("ann");
  const stream = await wire.open("who", { meta: { part: 3 } });
  assertEquals(JSON.parse(await readText(stream)), ["who", "ann", { part: 3 }, "ann"]);
});

Deno.test("MountedWire.sessions lists sessions, found by id and by identity", async () => {
  await using test = await mounted();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  assertEquals(test.server.sessions.map(({ identity }) => identity), ["ann", "bob"]);
  const id = ann.session?.id ?? "";
  assertEquals(test.server.session(id)?.identity, "ann");
  assertEquals(test.server.session("bob")?.id, bob.session?.id);
  assertEquals(test.server.session("eve"), undefined);
  assert(await (test.server.session("ann")?.ping() ?? -1) >= 0);
});

Deno.test("handle and unhandle work while connected, and both sides are told", async () => {
  const offers: string[][] = [];
  await using test = await mounted({ onOffers: (session) => offers.push([...session.offers]) });
  const wire = await test.join("ann", { handlers: { first: echoStream } });
  const session = test.server.session("ann") as WireSession;
  assertEquals(session.offers, ["first"]);

  wire.handle("second", echoStream);
  await until("the server knows of the second name", () => session.offers.length === 2);
  assertEquals(await askStream(await session.open("second"), "x"), "x");
  wire.unhandle("first");
  await until("the server knows that the first is gone", () => session.offers.length === 1);
  assertEquals(offers, [["first", "second"], ["second"]]);
  assertEquals(codeOf(await errorOf(session.open("first"))), "ERR_NO_HANDLER");

  test.server.handle("third", echoStream);
  await until("the joined side is told", () => wire.session?.offers.includes("third") ?? false);
  wire.handle("second", (stream) => stream.write("other"));
  assertEquals(await readText(await session.open("second")), "other");
});

Deno.test("open rejects with the code of the refusal, and names the stream and the peer", async () => {
  await using test = await mounted();
  const wire = await test.join("ann");
  await assertRejects(
    () => wire.open("forbidden"),
    AuthError,
    'the stream "forbidden" to the server',
  );
  await assertRejects(
    () => wire.open("nothing"),
    RemoteError,
    'the stream "nothing" to the server',
  );
  assertEquals(codeOf(await errorOf(wire.peer("bob").open("x"))), "ERR_NO_PEER");
  const error = await assertRejects(
    () => test.server.open("bob", "x"),
    RemoteError,
    'the stream "x" to "bob"',
  );
  assertEquals(error.code, "ERR_NO_PEER");
  await assertRejects(() => test.server.open("ann", "x"), RemoteError, 'the stream "x" to "ann"');
});

Deno.test("open gives up by time and by signal, and the stream is reset at the far side", async () => {
  const asked: string[] = [];
  const verdict = Promise.withResolvers<boolean>();
  await using test = await mounted({
    authorize: ({ kind, name }) => kind === "session" || (asked.push(`${name}`), verdict.promise),
    handlers: { late: () => {} },
  });
  const wire = await test.join("ann");
  await assertRejects(() => wire.open("late", { timeoutMs: 20 }), TimeoutError);
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => wire.open("late", { signal }), Error, "enough");
  assertEquals(asked, ["late"]);
  verdict.resolve(true);
  await until(
    "only the control stream is left",
    () => test.server.session("ann")?.stats().streams === 1,
  );
});

Deno.test("a handler that throws resets its stream, reaches onError, and harms nobody else", async () => {
  const errors: string[] = [];
  await using test = await mounted({
    onError: (error, { phase, session }) =>
      errors.push(`${phase} ${session?.identity} ${(error as Error).message}`),
    handlers: { echo: echoStream, bad: () => Promise.reject(new Error("oh no")) },
  });
  const wire = await test.join("ann");
  const stream = await wire.open("bad");
  assertEquals(codeOf(await errorOf(stream.read())), "ERR_RESET");
  assertEquals(errors, ["stream ann oh no"]);
  assertEquals(await askStream(await wire.open("echo"), "still here"), "still here");
});

Deno.test("mount refuses a wrong token with ERR_AUTH and registers nothing", async () => {
  const opened: string[] = [];
  await using test = await mounted({ onOpen: ({ identity }) => opened.push(identity) });
  const wire = test.joining("ann", { token: "guess" });
  assertEquals(codeOf(await errorOf(wire.ready)), "ERR_AUTH");
  assertEquals(codeOf(await wire.closed), "ERR_AUTH");
  assertEquals([wire.status, opened, test.server.sessions], ["closed", [], []]);
});

Deno.test("mount lets the owner of a name take it over, and nobody else", async () => {
  const ended: (string | undefined)[] = [];
  await using test = await mounted({
    authorize: () => true,
    onClose: ({ id }) => ended.push(id),
  });
  const first = await test.join("ann", { reconnect: false });
  const id = first.session?.id;
  const thief = test.joining("ann", { token: "another", reconnect: false });
  assertEquals(codeOf(await errorOf(thief.ready)), "ERR_NAME_TAKEN");
  assertEquals(test.server.session("ann")?.id, id);

  const again = await test.join("ann", { reconnect: false });
  await first.closed;
  assertEquals(test.server.sessions.map((session) => session.id), [again.session?.id]);
  await until("the first is told of as closed", () => ended.length === 1);
  assertEquals(ended, [id]);
});

Deno.test("join tries again by its own policy, and calls the hooks", async () => {
  const seen: string[] = [];
  await using test = await mounted();
  const wire = await test.join("ann", {
    reconnect: { policy: ({ attempt }) => (seen.push(`policy ${attempt}`), 1) },
    onOpen: () => seen.push("open"),
    onClose: () => seen.push("close"),
    onRetry: ({ attempt, delayMs }) => seen.push(`retry ${attempt} ${delayMs}`),
  });
  wire.handle("echo", echoStream);
  const id = wire.session?.id;
  test.server.session("ann")?.abort();
  await until(
    "it is there again",
    () =>
      seen.length >= 5 && test.server.session("ann") !== undefined &&
      test.server.session("ann")?.id !== id,
  );
  assertEquals(seen.slice(0, 5), ["open", "close", "policy 1", "retry 1 1", "open"]);
  assertEquals(await askStream(await test.server.open("ann", "echo"), "again"), "again");
});

Deno.test("JoinedWire.open waits for the session that is to come", async () => {
  await using test = await mounted({ handlers: { echo: echoStream } });
  const wire = test.joining("ann");
  assertEquals(await askStream(await wire.open("echo"), "early"), "early");
});

Deno.test("MountedWire.close is in order though a client breaks off meanwhile, which onClose tells", async () => {
  const told: string[] = [];
  await using test = await mounted({
    handlers: { hang: (stream) => stream.closed.then(() => {}) },
    onClose: (_session, error) => void told.push(codeOf(error)),
  });
  const wire = await test.join("ann", { reconnect: false });
  const stream = await wire.open("hang");
  const closing = test.server.shutdown();
  await until(
    "no new streams",
    async () => codeOf(await errorOf(wire.open("hang", { timeoutMs: 50 }))) === "ERR_GOING_AWAY",
  );
  wire.abort();
  await closing;
  await stream.closed;
  assertEquals(told, ["ERR_RESET"]);
});

Deno.test("MountedWire.close waits for streams, then closes all sessions in order", async () => {
  await using test = await mounted({ handlers: { echo: echoStream } });
  const wire = await test.join("ann", { reconnect: false });
  const stream = await wire.open("echo");
  await stream.write("one ");
  const closing = test.server.shutdown();
  await until(
    "no new streams",
    async () => codeOf(await errorOf(wire.open("echo", { timeoutMs: 50 }))) === "ERR_GOING_AWAY",
  );
  assertEquals(await askStream(stream, "two"), "one two");
  await closing;
  assertEquals(await wire.closed, undefined);
});

Deno.test("MountedWire.close reports the errors of all sessions together", async () => {
  await using test = await mounted({
    handlers: { wait: async (stream) => void await stream.read() },
  });
  for (const name of ["ann", "bob"]) await (await test.join(name)).open("wait");
  await test.join("cid");
  const error = await assertRejects(
    () => test.server.shutdown({ timeoutMs: 30 }),
    AggregateError,
    "2 of 3 sessions",
  );
  assertEquals(error.errors.map(codeOf), ["ERR_DRAIN_TIMEOUT", "ERR_DRAIN_TIMEOUT"]);
});

Deno.test("join finds by keepalive that its server is dead, and joins again", async () => {
  await using test = await mounted();
  const ends: string[] = [];
  const { hostname, port } = test.server.addr as { hostname: string; port: number };
  await using proxy = await FreezingProxy.start({ hostname, port });
  await test.join("ann", {
    port: proxy.port,
    mux: { keepAliveMs: 20, keepAliveTimeoutMs: 40 },
    onClose: (_, error) => ends.push(codeOf(error)),
  });
  proxy.freeze();
  await until("the session is over", () => ends.length > 0);
  assertEquals(ends, ["ERR_KEEPALIVE_TIMEOUT"]);
});

Deno.test("mount and join refuse wrong options before any I/O", () => {
  assertThrows(() => mount({}), TypeError, '"insecureAnyone"');
  assertThrows(() => mount({ insecureAnyone: true, authorize: () => true }), TypeError);
  assertThrows(() => mount({ insecureAnyone: true, handshakeTimeoutMs: 0 }), RangeError);
  assertThrows(() => mount({ insecureAnyone: true, mux: { maxStreams: 0 } }), RangeError);
  assertThrows(
    () => mount({ insecureAnyone: true, mode: 0o600 }),
    TypeError,
    '"mode" needs a "path"',
  );
  assertThrows(() => mount({ insecureAnyone: true, path: "" }), TypeError, '"path" must be');
  assertThrows(() => mount({ insecureAnyone: true, path: "/x", port: 1 }), TypeError, "excludes");
  assertThrows(
    () => mount({ insecureAnyone: true, hostname: "" }),
    TypeError,
    '"hostname" must be',
  );
  assertThrows(() => mount({ insecureAnyone: true, port: 65536 }), RangeError, '"port"');
  assertThrows(
    () => mount({ insecureAnyone: true, handlers: { "a b": () => {} } }),
    TypeError,
    '"name"',
  );
  assertThrows(() => join({ port: 1, identity: "a b" }), TypeError, '"identity"');
  assertThrows(
    () => join({ port: 1, identity: "a", token: "x".repeat(5000) }),
    TypeError,
    '"token"',
  );
  assertThrows(() => join({ identity: "a" }), TypeError);
});
