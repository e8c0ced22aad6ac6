// RecentErrors: what is joined, what is pushed out, and what of a peer's text is kept.
import { assert, assertEquals } from "@std/assert";
import { connect, serve } from "@parley/parley";
import { hub, join } from "@parley/parley/wire";
import { FramingError, RemoteError, TimeoutError } from "../../../errors.ts";
import { RecentErrors } from "../../../stats/data/recent_errors.ts";
import { until } from "../../support/wait.ts";

const tooLarge = () => new FramingError("ERR_FRAME_TOO_LARGE", "Cannot read the message");

Deno.test("RecentErrors joins errors of one phase, one code and one source, and shows the last peer", () => {
  const recent = new RecentErrors();
  for (const port of [1, 2, 3]) {
    recent.add(tooLarge(), {
      phase: "handler",
      peer: { transport: "tcp", hostname: "192.0.2.7", port },
    });
  }
  recent.add(tooLarge(), { phase: "connection" });
  const entries = recent.list().map(({ phase, peer, count }) => [phase, peer, count]);
  assertEquals(entries, [["handler", "192.0.2.7:3", 3], ["connection", null, 1]]);
});

Deno.test("RecentErrors keeps 32, and a flood of one kind pushes out no other", () => {
  const recent = new RecentErrors();
  recent.add(new TimeoutError("ERR_READ_TIMEOUT", "late"), { phase: "connection", peer: "anna" });
  for (let source = 0; source < 1000; source++) {
    recent.add(tooLarge(), { phase: "handler", peer: `peer ${source}` });
  }
  const list = recent.list();
  assertEquals([list.length, list[0]?.peer, list.at(-1)?.peer], [32, "anna", "peer 999"]);
});

Deno.test("RecentErrors escapes and cuts what a peer says, and takes no code of its making", () => {
  const recent = new RecentErrors();
  for (let n = 0; n < 100; n++) {
    const code = `ERR_${String.fromCharCode(65 + n % 26)}`;
    recent.add(new RemoteError(code, `\x1b[2J${"x".repeat(5000)}`), {
      phase: "query",
      peer: `\u202e${"y".repeat(500)}`,
    });
  }
  const list = recent.list();
  assertEquals(list.map(({ code, count }) => [code, count]), [["_OTHER", 100]]);
  const { text, peer } = list[0]!;
  assert(text.length <= 256 && !text.includes("\x1b"), text);
  assert(peer!.length <= 128 && !peer!.includes("\u202e"), peer!);
});

Deno.test("Server.stats() tells which peer sent too much, and with which code", async () => {
  await using server = serve({ maxMessageBytes: 1000, onError() {} }, async (conn) => {
    for await (const message of conn) await conn.send(message);
  });
  await server.ready;
  const conn = await connect({ ...server.addr, maxMessageBytes: 10_000 });
  const { port } = conn.localAddr as Deno.NetAddr;
  await conn.send("x".repeat(5000));
  await until("it is told", () => server.stats().recentErrors.length > 0);
  const [entry, ...others] = server.stats().recentErrors;
  assertEquals([entry?.code, entry?.peer, entry?.count, others.length], [
    "ERR_FRAME_TOO_LARGE",
    `127.0.0.1:${port}`,
    1,
    0,
  ]);
  conn.abort();
});

Deno.test("WireStats.recentErrors tells of a handler that threw, and whose stream it was", async () => {
  await using centre = hub({ insecureAnyone: true, onError() {} });
  centre.handle("fail", () => {
    throw new RangeError("on purpose");
  });
  await centre.ready;
  await using caller = join({ ...centre.addr, identity: "caller", onError() {} });
  const stream = await caller.open("fail");
  await stream.closed;
  await until("it is told", () => centre.stats().recentErrors.length > 0);
  const [entry] = centre.stats().recentErrors;
  assertEquals([entry?.phase, entry?.code, entry?.peer], ["stream", "RangeError", "caller"]);
  assertEquals(centre.stats().overall.streamErrors, 1);
});
