// Tests of expose and forward: bytes, half-close, many connections, and healing.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { expose, forward } from "@parley/parley/wire";
import { TimeoutError } from "../../../errors.ts";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import { assertCode } from "../../support/peers/transport_conformance.ts";
import { codeOf } from "../../support/peers/servers.ts";
import {
  ask,
  askAt,
  dialLocal,
  HeldTarget,
  portOf,
  readAll,
  UpperServer,
} from "../../support/peers/tunnels.ts";
import { atRest, settles, until } from "../../support/wait.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";
import { hubbed, mounted } from "../../support/peers/wires.ts";

Deno.test("forward brings connections to the exposed port, with half-close, and cuts them when closed", async () => {
  await using test = await hubbed();
  await using upper = await UpperServer.start();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  const exposed = expose(bob, "upper", { port: upper.port });
  await using tunnel = await forward(ann, "upper", { to: "bob", timeoutMs: 300 });
  assertEquals(await ask(portOf(tunnel), "hello"), "HELLO");
  const long = "long ".repeat(100_000);
  assertEquals(await ask(portOf(tunnel), long) === long.toUpperCase(), true);

  exposed[Symbol.dispose]();
  await assertCode("ERR_RESET", ask(portOf(tunnel), "nobody"));
  await tunnel.abort();
  await assertRejects(() => ask(portOf(tunnel), "x"));
});

Deno.test({
  name:
    "expose and forward take unix sockets at their local ends, and refuse what contradicts itself",
  ignore: Deno.build.os === "windows", // Deno has no unix sockets there
  async fn() {
    await using folder = new TempDir();
    await using test = await hubbed();
    const path = `${folder.path}/upper.sock`;
    await using _upper = new UpperServer(await listen({ path }));
    const [ann, bob] = [await test.join("ann"), await test.join("bob")];
    expose(bob, "upper", { path });
    const local = `${folder.path}/local.sock`;
    await using tunnel = await forward(ann, "upper", { to: "bob", path: local });
    assertEquals(tunnel.addr, { transport: "unix", path: local });
    assertEquals((await Deno.stat(local)).mode! & 0o777, 0o600);
    assertEquals(await askAt({ path: local }, "hello"), "HELLO");

    assertThrows(() => expose(bob, "x", {}), TypeError, '"port" must be');
    assertThrows(() => expose(bob, "x", { path, port: 1 }), TypeError, "excludes");
    await assertRejects(() => forward(ann, "x", { path, hostname: "::1" }), TypeError, "excludes");
    await assertRejects(() => forward(ann, "x", { path: "" }), RangeError, '"path" must be');
  },
});

Deno.test("forward.shutdown lets connections end, takes no more, and cuts those that do not end in time", async () => {
  await using test = await hubbed();
  await using upper = await UpperServer.start();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  expose(bob, "upper", { port: upper.port });
  for (const ends of [true, false]) {
    await using tunnel = await forward(ann, "upper", { to: "bob" });
    const port = portOf(tunnel);
    const open = await dial({ port }, { signal: new AbortController().signal });
    await open.write(new TextEncoder().encode("half "));
    await until(
      "it has come through",
      () => (test.server.session("bob")?.stats().streams ?? 0) > 1,
    );
    const ending = tunnel.shutdown({ timeoutMs: ends ? 10_000 : 20 });
    assertEquals(ending, tunnel.shutdown());
    ending.catch(() => {});
    await assertRejects(() => ask(port, "late"));
    if (ends) {
      await open.write(new TextEncoder().encode("done"));
      await open.closeWrite();
      assertEquals(await readAll(open), "HALF DONE");
      await settles("the end", ending);
    } else {
      const error = await assertRejects(() => settles("the end", ending), TimeoutError);
      assertEquals([error.code, error.cutConnections], ["ERR_DRAIN_TIMEOUT", 1]);
    }
    open.close();
    assertEquals(tunnel.connections, 0);
  }
});

Deno.test("forward carries two thousand short connections", async () => {
  await using test = await hubbed();
  await using upper = await UpperServer.start();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  expose(bob, "upper", { port: upper.port });
  const errors: unknown[] = [];
  await using tunnel = await forward(ann, "upper", {
    to: "bob",
    onError: (error) => errors.push(error),
  });
  let left = 2000;
  const work = async () => {
    for (let n = left--; n > 0; n = left--) {
      assertEquals(await ask(portOf(tunnel), `n${n}`), `N${n}`);
    }
  };
  await Promise.all(Array.from({ length: 24 }, work));
  assertEquals(errors, []);
  await until(
    "all is given back",
    () =>
      tunnel.connections === 0 &&
      test.server.sessions.every((session) => session.stats().streams === 1),
  );
});

Deno.test("forward ends open connections when the exposing side is lost, and heals by itself", async () => {
  await using test = await hubbed();
  await using upper = await UpperServer.start();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  expose(bob, "upper", { port: upper.port });
  const errors: string[] = [];
  await using tunnel = await forward(ann, "upper", {
    to: "bob",
    onError: (error) => errors.push(codeOf(error)),
  });

  const open = await dial({ port: portOf(tunnel) }, { signal: new AbortController().signal });
  await open.write(new Uint8Array(10));
  await until("it has come through", () => upper.receivedBytes > 0);
  bob.session?.abort();
  await assertCode("ERR_RESET", open.read());
  open.close();
  await until(
    "the tunnel is healed",
    () => ask(portOf(tunnel), "again").then((text) => text === "AGAIN", () => false),
  );
  assertEquals(errors[0], "ERR_RESET");
});

Deno.test("forward brings a slow reader all of an answer, however long it rests after its own direction has ended", async () => {
  const mux = { halfCloseTimeoutMs: 20 };
  await using test = await hubbed({ mux });
  using target = await HeldTarget.start();
  const [ann, bob] = [await test.join("ann", { mux }), await test.join("bob", { mux })];
  expose(bob, "file", { port: target.port });
  await using tunnel = await forward(ann, "file", { to: "bob" });
  const [local, remote] = await Promise.all([dialLocal(tunnel), target.accept()]);
  await local.closeWrite();
  assertEquals(await remote.read(), null);
  let sent = 0;
  let isEnough = false;
  const sending = (async () => {
    for (; !isEnough; sent += 65_536) await remote.write(new Uint8Array(65_536));
    await remote.closeWrite();
  })();
  // All buffers on the way are full, for several times as long as the timer of a half-closed stream runs.
  await atRest(() => sent);
  isEnough = true;
  let received = 0;
  for (let chunk = await local.read(); chunk !== null; chunk = await local.read()) {
    received += chunk.length;
  }
  await sending;
  assertEquals(received, sent);
  assert(sent > 1 << 20);
  local.close();
});

Deno.test("forward reaches what the server itself exposes", async () => {
  await using test = await mounted();
  await using upper = await UpperServer.start();
  expose(test.server, "upper", { port: upper.port });
  await using tunnel = await forward(await test.join("ann"), "upper");
  assertEquals(await ask(portOf(tunnel), "hello"), "HELLO");
});

Deno.test("expose of a name that is exposed already takes its place, and disposing the first leaves it there", async () => {
  await using test = await hubbed();
  await using upper = await UpperServer.start();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  const first = expose(bob, "upper", { path: "/nothing/there" });
  const second = expose(bob, "upper", { port: upper.port });
  first[Symbol.dispose]();
  await using tunnel = await forward(ann, "upper", { to: "bob" });
  assertEquals(await ask(portOf(tunnel), "hello"), "HELLO");
  second[Symbol.dispose]();
  assertEquals(bob.handlers, []);
});

Deno.test("expose connects to its own port only, whatever the caller says", async () => {
  await using test = await hubbed();
  await using upper = await UpperServer.start();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  expose(bob, "upper", { port: upper.port });
  const meta = { hostname: "127.0.0.1", port: 1 };
  const stream = await ann.peer("bob").open("tcp:upper", { meta });
  await stream.write("fixed");
  await stream.closeWrite();
  assertEquals(await new Response(stream.readable).text(), "FIXED");
});
