// stats() of both sides of the wire: what went through is counted, once, by whoever saw it.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { openMetrics } from "@parley/parley/stats";
import { join, type WireStats } from "@parley/parley/wire";
import { parseOpenMetrics } from "../support/openmetrics_parser.ts";
import { until } from "../support/wait.ts";
import { askStream, echoStream, hubbed, mounted } from "../support/wires.ts";

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
  const closing = test.server.close();
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
  assertEquals(failures.map(({ labels, value }) => [labels.name, value]), [["wire", 1], ["wire-2", 0]]);
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
