// How a joined side joins again: what counts as an attempt, as use, and as final.
import { assert, assertEquals } from "@std/assert";
import { join, mount } from "@parley/parley/wire";
import { testCerts } from "../support/programs/certs.ts";
import { codeOf } from "../support/peers/servers.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles, until } from "../support/wait.ts";
import { askStream, echoStream, mounted } from "../support/peers/wires.ts";

Deno.test("join starts its delays anew after a session that has carried a stream, either way, and not after others", async () => {
  await using test = await mounted({ handlers: { echo: echoStream } });
  const attempts: number[] = [];
  const wire = await test.join("ann", {
    reconnect: { policy: ({ attempt }) => (attempts.push(attempt), 1) },
    handlers: { echo: echoStream },
  });
  const lose = async (use: () => Promise<unknown>) => {
    await use();
    const [count, id] = [attempts.length, wire.session?.id];
    test.server.session("ann")?.abort();
    await until("it is there again", () => wire.session !== null && wire.session.id !== id);
    await until("the server has it", () => test.server.session("ann") !== undefined);
    assertEquals(attempts.length, count + 1);
    return attempts.at(-1);
  };
  const nothing = () => Promise.resolve();
  const asks = async () => assertEquals(await askStream(await wire.open("echo"), "Hi!"), "Hi!");
  const answers = async () =>
    assertEquals(await askStream(await test.server.open("ann", "echo"), "Hi!"), "Hi!");
  assertEquals([await lose(nothing), await lose(nothing)], [1, 2]);
  assertEquals([await lose(asks), await lose(nothing)], [1, 2]);
  assertEquals([await lose(answers), await lose(nothing)], [1, 2]);
});

Deno.test("join with maxAttempts stays while its sessions come up, however short they last", async () => {
  await using test = await mounted();
  const wire = await test.join("ann", {
    reconnect: { minDelayMs: 1, maxDelayMs: 2, maxAttempts: 2 },
  });
  for (let i = 0; i < 8; i++) {
    const id = wire.session?.id;
    await until("the server has it", () => test.server.session("ann")?.id === id);
    test.server.session("ann")?.abort();
    await until("it is there again", () => wire.session !== null && wire.session.id !== id);
  }
  assertEquals(wire.stats().overall.connectFailures, 0);
});

Deno.test("join ends by a mistake in its options before it dials, and by no content of a file", async () => {
  const { ca, server: identity, client } = await testCerts();
  const told: string[] = [];
  const options = {
    port: 9,
    identity: "ann",
    onError: (error: unknown) => void told.push(codeOf(error)),
  };
  for (
    const tls of [{ caCerts: ["-----BEGIN CERTIFICATE-----"] }, {
      cert: client.cert,
      key: "-----BEGIN PRIVATE KEY-----",
    }]
  ) {
    const wire = join({ ...options, tls });
    const reason = await wire.closed;
    assert(reason instanceof TypeError);
    assertEquals([told.splice(0), wire.stats().overall.connectAttempts], [["TypeError"], 0]);
  }

  await using dir = new TempDir();
  const caFile = `${dir.path}/ca.pem`;
  await using server = mount({ insecureAnyone: true, tls: identity, onError() {} });
  await server.ready;
  await Deno.writeTextFile(caFile, ca.cert.slice(0, 300));
  const reconnect = { minDelayMs: 1, maxDelayMs: 4 };
  await using wire = join({ ...options, ...server.addr, tls: { caFile }, reconnect });
  await until("it has tried in vain", () => told.length > 2);
  await Deno.writeTextFile(caFile, ca.cert);
  await settles("it has joined", wire.ready);
});
