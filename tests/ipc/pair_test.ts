// Pairs: roles, re-election, the third process, and what ends one.
import { assertEquals, assertRejects } from "@std/assert";
import { AddressError, AuthError, ClosedError, ParleyError, RemoteError } from "../../errors.ts";
import { type IpcPairOptions, type IpcPeer, pairIpc, SecretKey } from "../../ipc/mod.ts";
import { testCerts } from "../support/programs/certs.ts";
import { settles, until } from "../support/wait.ts";
import { Channel } from "./channels.ts";
import { Child } from "./children.ts";

const text = (data: Uint8Array) => new TextDecoder().decode(data);

async function assertCode(code: string, run: () => Promise<unknown>): Promise<void> {
  assertEquals((await settles(code, assertRejects(run, ParleyError))).code, code);
}

async function ask(peer: IpcPeer, question = "?"): Promise<string> {
  return text(await settles("an answer", peer.query(question)));
}

Deno.test("pairIpc makes the first process the server, the second the client, and refuses a third", async () => {
  await using channel = new Channel();
  await using one = await pairIpc(channel.options, (data) => `one heard ${text(data)}`);
  assertEquals([one.role, one.status], ["server", "listening"]);
  await using two = await pairIpc(channel.options, () => new Uint8Array(0));
  assertEquals([two.role, two.status, one.status], ["client", "connected", "connected"]);
  assertEquals(await ask(two, "two"), "one heard two");
  assertEquals(await one.query(""), new Uint8Array(0));
  const error = await assertRejects(() => pairIpc(channel.options, () => ""), RemoteError);
  assertEquals(error.code, "ERR_BUSY");
  await one.send(5, "message");
  assertEquals((await two.receive())?.type, 5);
  assertEquals(await ask(two, "still"), "one heard still");
});

Deno.test("pairIpc gives roles to two that start at once", async () => {
  await using channel = new Channel();
  for (let round = 0; round < 8; round++) {
    const start = (who: string) => pairIpc(channel.options, () => who);
    const [a, b] = await settles("both", Promise.all([start("a"), start("b")]));
    assertEquals([a.role, b.role].sort(), ["client", "server"]);
    assertEquals([await ask(a), await ask(b)], ["b", "a"]);
    await Promise.all([a.close(), b.close()]);
  }
});

Deno.test("a pair survives the loss of either side; the roles are decided anew", async () => {
  await using channel = new Channel();
  let one = await pairIpc(channel.options, () => "one");
  await using two = await pairIpc(channel.options, () => "two");
  for (let round = 0; round < 6; round++) {
    const asked = two.query("never answered?", { timeoutMs: 2000 });
    asked.catch(() => {});
    if (round % 2 === 0) one.abort(new Error("killed"));
    else await one.close();
    await settles("the query under way settles", asked.catch(() => {}));
    await until("two is alone", () => two.role === "server" && two.status === "listening");
    one = await pairIpc(channel.options, () => `one ${round}`);
    assertEquals(await ask(two), `one ${round}`);
    assertEquals(await ask(one), "two");
  }
  await one.close();
});

Deno.test("a query alone waits for the other process, and fails at its time limit", async () => {
  await using channel = new Channel();
  await using one = await pairIpc(channel.options, () => "one");
  await assertCode("ERR_CONNECT_TIMEOUT", () => one.query("", { timeoutMs: 30 }));
  await assertCode("ERR_CONNECT_TIMEOUT", () => one.connected({ timeoutMs: 30 }));
  const asked = ask(one);
  await using two = await pairIpc(channel.options, () => "two");
  assertEquals(await asked, "two");
  await one.connected();
  await two.connected();
});

Deno.test("a query under way fails when the other process is lost, and is not sent again", async () => {
  await using channel = new Channel();
  let heard = 0;
  const one = await pairIpc(channel.options, () => (heard++, new Promise<string>(() => {})));
  await using two = await pairIpc(channel.options, () => "two");
  const asked = two.query("?");
  asked.catch(() => {});
  await until("it was heard", () => heard === 1);
  one.abort(new Error("killed"));
  await assertCode("ERR_RESET", () => asked);
  await using again = await pairIpc(channel.options, () => (heard++, "again"));
  assertEquals(await ask(two), "again");
  assertEquals([heard, again.status], [2, "connected"]);
});

Deno.test("a pair without reconnect ends when the other process is lost", async () => {
  await using channel = new Channel();
  const options: IpcPairOptions = { ...channel.options, reconnect: false };
  for (const loser of ["client", "server"] as const) {
    const one = await pairIpc(options, () => "");
    const two = await pairIpc(options, () => "");
    const [stays, goes] = loser === "client" ? [one, two] : [two, one];
    await settles("connected", stays.connected());
    goes.abort(new Error("killed"));
    await settles("the end", stays.closed);
    assertEquals(stays.status, "disconnected");
    await assertCode("ERR_RESET", () => stays.receive());
    await assertRejects(() => stays.query(""), ClosedError);
  }
});

Deno.test("pairs work plain, over TCP, and over TLS in either role", async () => {
  const certs = await testCerts();
  const secret = SecretKey.generate();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using channel = new Channel();
  const tls = {
    server: { cert: certs.server.cert, key: certs.server.key },
    client: { caCerts: [certs.ca.cert], serverName: "localhost" },
  };
  const ways: IpcPairOptions[] = [
    { ...channel.options, encryption: false },
    { ...channel.options, tls },
    { name: "test", transport: "tcp", port, secret },
    { name: "test", transport: "tcp4", port, secret, tls },
  ];
  for (const options of ways) {
    const one = await pairIpc(options, () => "one");
    const two = await pairIpc(options, () => "two");
    assertEquals([one.role, two.role], ["server", "client"]);
    assertEquals([await ask(one), await ask(two)], ["two", "one"]);
    await one.close();
    await until("two took over", () => two.role === "server");
    await two.close();
  }
});

Deno.test("pairIpc recognises a wrong secret and another program", async () => {
  await using channel = new Channel();
  await using _one = await pairIpc(
    { ...channel.options, secret: SecretKey.generate(), onError: () => {} },
    () => "",
  );
  await assertCode(
    "ERR_AUTH",
    () => pairIpc({ ...channel.options, secret: SecretKey.generate() }, () => ""),
  );
  await assertRejects(
    () => pairIpc({ ...channel.options, secret: SecretKey.generate() }, () => ""),
    AuthError,
  );
  await using other = new Channel();
  const listener = Deno.listen({ transport: "unix", path: other.path });
  await Deno.chmod(other.path, 0o600);
  const conns: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const conn of listener) {
      await conn.write(new TextEncoder().encode("220 mail ready\r\n")).catch(() => {});
      conns.push(conn);
    }
  })();
  const options = { ...other.options, secret: SecretKey.generate() };
  await assertRejects(() => pairIpc(options, () => ""), AddressError, "another protocol");
  listener.close();
  await accepting;
  for (const conn of conns) conn.close();
});

Deno.test("pairIpc gives up on its signal, and a later one closes in order", async () => {
  await using channel = new Channel();
  const reason = new Error("enough");
  assertEquals(
    await pairIpc({ ...channel.options, signal: AbortSignal.abort(reason) }, () => "").catch((e) =>
      e
    ),
    reason,
  );
  const controller = new AbortController();
  const one = await pairIpc({ ...channel.options, signal: controller.signal }, () => "one");
  await using two = await pairIpc(channel.options, () => "two");
  controller.abort(reason);
  await settles("the end", one.closed);
  assertEquals(one.status, "closed");
  await until("two took over", () => two.role === "server");
  await assertRejects(() => pairIpc(channel.options, undefined as never), TypeError);
});

Deno.test("a pair's keepalive is half the time limit of its queries, and a quiet pair stays one", async () => {
  await using channel = new Channel();
  const quick = { queryTimeoutMs: 100, keepaliveTimeoutMs: 100 };
  await using one = await pairIpc({ ...channel.options, ...quick }, () => "");
  await using two = await pairIpc({ ...channel.options, ...quick }, () => "");
  await one.connected();
  const before = one.stats().overall.bytesIn;
  await until("pings went by", () => one.stats().overall.bytesIn >= before + 4 * 9);
  assertEquals([one.status, two.status], ["connected", "connected"]);
});

Deno.test("a pair ends the connection with a process that hangs, and takes the next", async () => {
  await using channel = new Channel();
  const quick = { queryTimeoutMs: 100, keepaliveTimeoutMs: 100 };
  await using one = await pairIpc({ ...channel.options, ...quick }, () => "one");
  await using hanging = new Child("hanging", [channel.path]);
  await hanging.next((event) => event["connected"]);
  await until("connected", () => one.status === "connected");
  const errors: unknown[] = [];
  const watching = (async () => {
    for await (const { status, error } of one.statuses()) {
      if (status !== "listening" || error === undefined) continue;
      return errors.push(error);
    }
    return 0;
  })();
  hanging.stop();
  await settles("the loss", watching);
  assertEquals((errors[0] as ParleyError).code, "ERR_KEEPALIVE_TIMEOUT");
  await using two = await pairIpc({ ...channel.options, ...quick }, () => "two");
  assertEquals(await ask(two), "one");
});
