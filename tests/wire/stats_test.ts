// stats() of both sides of the wire: what went through is counted, once, by the side that saw it.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { openMetrics } from "@parley/parley/stats";
import { join, type WireStats } from "@parley/parley/wire";
import { parseOpenMetrics } from "../support/openmetrics_parser.ts";
import { until } from "../support/wait.ts";
import { askStream, echoStream, hubbed, mounted } from "../support/peers/wires.ts";

/** The counters of streams. */
function streamsOf({ overall }: WireStats): Record<string, number> {
  return Object.fromEntries(
    Object.entries(overall).filter(([name, count]) => /^stream/.test(name) && count > 0),
  );
}

Deno.test("wire.stats() counts sessions, streams and bytes alike on both sides, overall and today", async () => {
  await using test = await mounted();
  test.server.handle("echo", echoStream);
  const wire = await test.join("ann");
  for (let i = 0; i < 3; i++) {
    assertEquals(await askStream(await wire.open("echo"), "x".repeat(1000)), "x".repeat(1000));
  }
  await assertRejects(() => wire.open("nobody"));
  await until("the refusal is counted", () => test.server.stats().overall.streamsRefused === 1);
  await test.server.session("ann")!.ping();
  const equal = () => test.server.stats().overall.bytesIn === wire.stats().overall.bytesOut;
  await until("both have counted the same bytes", equal);
  const [server, client] = [test.server.stats(), wire.stats()];
  assertEquals([server.kind, server.role, server.state], ["wire", "mount", "listening"]);
  assertEquals([client.kind, client.role, client.state], ["wire", "join", "connected"]);
  assertEquals(streamsOf(server), { streamsServed: 3, streamsRefused: 1 });
  assertEquals(streamsOf(client), { streamsOpened: 3, streamsFailed: 1 });
  assertEquals([server.overall.connectionsOpened, client.overall.connectAttempts], [1, 1]);
  assertEquals([server.handshakes.count, client.handshakes.count], [1, 1]);
  assertEquals(server.overall.bytesIn, client.overall.bytesOut);
  assert(server.overall.bytesIn > 3000 && server.overall.framesIn > 6);
  assertEquals(server.today.counters, server.overall);
  const [session] = server.sessions;
  assertEquals([session?.identity, session?.bytesIn], ["ann", server.overall.bytesIn]);
  assert(session!.rttMs! >= 0 && session!.onlineMs > 0);
  assertEquals(JSON.parse(JSON.stringify(server)), server);
  assert(Object.isFrozen(server.sessions[0]));
});

Deno.test("wire.stats() keeps what ended sessions counted, and tells of the drain", async () => {
  await using test = await mounted();
  test.server.handle("echo", echoStream);
  const wire = await test.join("ann");
  await askStream(await wire.open("echo"), "hello");
  await wire.close();
  await until("the session is over", () => test.server.stats().overall.connectionsClosed === 1);
  const { overall, sessions } = test.server.stats();
  assertEquals(sessions, []);
  const sent = wire.stats();
  assertEquals([sent.state, overall.streamsServed], ["closed", 1]);
  assert(overall.bytesIn > 5 && overall.bytesIn <= sent.overall.bytesOut);
  const closing = test.server.shutdown();
  await Promise.resolve();
  await Promise.resolve();
  assertEquals(test.server.state, "draining");
  await closing;
  assertEquals(test.server.stats().state, "stopped");
});

Deno.test("hub.stats() counts a stream from peer to peer once, as relayed", async () => {
  await using test = await hubbed();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  bob.handle("echo", echoStream);
  assertEquals(await askStream(await ann.peer("bob").open("echo"), "hi"), "hi");
  assertEquals(test.server.stats().role, "hub");
  assertEquals(streamsOf(test.server.stats()), { streamsRelayed: 1 });
  assertEquals(streamsOf(ann.stats()), { streamsOpened: 1 });
  assertEquals(streamsOf(bob.stats()), { streamsServed: 1 });
});

Deno.test("wire.stats() counts who was not let in, and handlers that failed", async () => {
  await using test = await mounted();
  test.server.handle("bad", () => {
    throw new Error("it went wrong");
  });
  const stranger = test.joining("eve", { token: "wrong", reconnect: false });
  await assertRejects(() => stranger.ready);
  const wire = await test.join("ann");
  await (await wire.open("bad")).closed;
  await until("the failure is counted", () => test.server.stats().overall.streamErrors === 1);
  assertEquals(test.server.stats().overall.handshakeFailures, 1);
  assertEquals(stranger.stats().overall.connectFailures, 1);
  const families = parseOpenMetrics(openMetrics([test.server.stats(), wire.stats()]));
  const failures = families.get("parley_stream_errors")!.samples;
  assertEquals(failures.map(({ labels, value }) => [labels["name"], value]), [["wire", 1], [
    "wire-2",
    0,
  ]]);
  assert(families.has("parley_streams") && families.has("parley_received_frames"));
});

Deno.test("wire.stats() counts an attempt that was given up on this side as no failure", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  const wire = join({ port: listener.addr.port, identity: "ann", token: "any" });
  wire.ready.catch(() => {});
  const silent = await accepting;
  await wire.close();
  silent.close();
  const { connectAttempts, connectFailures, connectionsOpened } = wire.stats().overall;
  assertEquals([connectAttempts, connectFailures, connectionsOpened], [1, 0, 0]);
});

Deno.test("wire.stats() counts an open as failed for want of a session, a peer, or time, where it was wanted", async () => {
  await using test = await hubbed();
  const caller = await test.join("caller");
  await assertRejects(() => test.server.open("absent", "any"));
  await assertRejects(() =>
    test.server.open("absent", "any", { waitForPeer: true, timeoutMs: 20 })
  );
  await assertRejects(() => caller.peer("absent").open("any"));
  assertEquals(streamsOf(test.server.stats()), { streamsFailed: 2, streamsRefused: 1 });
  assertEquals(streamsOf(caller.stats()), { streamsFailed: 1 });
  await using alone = join({ port: 1, identity: "alone", onError() {} });
  await assertRejects(() => alone.open("any", { timeoutMs: 20 }));
  assertEquals(streamsOf(alone.stats()), { streamsFailed: 1 });
  alone.abort();
  await alone.closed;
});

Deno.test("wire.stats() counts what a peer broke as broken, and only a handler's own error as its error", async () => {
  await using test = await mounted();
  test.server.handle("read", async (stream) => {
    for await (const _ of stream);
  });
  test.server.handle("patient", async (stream) => void await stream.read({ timeoutMs: 20 }));
  test.server.handle("wraps", async (stream) => {
    await stream.read().catch((cause) => {
      throw new Error("no question came", { cause });
    });
  });
  test.server.handle("fails", () => {
    throw new TypeError("on purpose");
  });
  const wire = await test.join("ann");
  for (const name of ["read", "wraps"]) (await wire.open(name)).abort();
  await (await wire.open("patient")).closed;
  await (await wire.open("fails")).closed;
  const counted = () => {
    const { streamsBroken, streamErrors } = test.server.stats().overall;
    return { streamsBroken, streamErrors };
  };
  await until("all are over", () => counted().streamsBroken + counted().streamErrors === 4);
  assertEquals(counted(), { streamsBroken: 3, streamErrors: 1 });
});

Deno.test("hub.stats() tells who calls whom by which name while it lasts, and the traffic by name after it", async () => {
  await using test = await hubbed();
  const [north, south] = [await test.join("north"), await test.join("south")];
  south.handle("chat", echoStream);
  await until(
    "south offers it",
    () => test.server.stats().sessions.some(({ offers }) => offers.includes("chat")),
  );
  const stream = await north.peer("south").open("chat");
  await stream.write("x".repeat(1000));
  await stream.read();
  const [call, ...others] = test.server.stats().calls;
  assertEquals([call?.from, call?.to, call?.name, others.length], ["north", "south", "chat", 0]);
  assert(call!.bytesFrom >= 1000 && call!.bytesTo > 0 && call!.openedAtMs > 0);
  await stream.closeWrite();
  assertEquals(await stream.closed, undefined);
  await until("the call is over", () => test.server.stats().calls.length === 0);
  const [chat, ...rest] = test.server.stats().trafficByName;
  assertEquals([chat?.name, chat?.streams, rest.length], ["chat", 1, 0]);
  assert(chat!.bytesIn >= 1000 && chat!.bytesOut >= 1000);
  assertEquals(north.stats().trafficByName[0]?.bytesOut, chat!.bytesIn);
  assertEquals(south.stats().trafficByName[0]?.streams, 1);
});

Deno.test("wire.stats() keeps 64 names of streams apart, and all others together", async () => {
  await using test = await mounted();
  for (let index = 0; index < 70; index++) test.server.handle(`n${index}`, () => {});
  const wire = await test.join("ann");
  for (let index = 0; index < 70; index++) await (await wire.open(`n${index}`)).closed;
  const names = test.server.stats().trafficByName;
  assertEquals([names.length, names.at(-1)?.name, names.at(-1)?.streams], [65, "(other)", 6]);
});
