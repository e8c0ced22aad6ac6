// Tests of servers whose clients reset before they are accepted: the next client is served at once.
import { assert, assertEquals } from "@std/assert";
import { connectIpc, listenIpc, SecretKey } from "@parley/parley/ipc";
import { expose, forward, hub, join, mount } from "@parley/parley/wire";
import { resetBeforeAccept } from "../support/peers/resets.ts";
import { started } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";

const linux = Deno.build.os === "linux";
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** Collects what a server complains of. */
function complaints(): { errors: unknown[]; onError: (error: unknown) => void } {
  const errors: unknown[] = [];
  return { errors, onError: (error) => void errors.push(error) };
}

function portOf(server: { addr: { transport: string } }): number {
  const { addr } = server as { addr: { transport: string; port?: number } };
  assert(addr.port !== undefined);
  return addr.port;
}

Deno.test({
  name: "serve() has nothing to complain of clients that reset before they are accepted",
  ignore: !linux,
  async fn() {
    await using server = await started();
    resetBeforeAccept(portOf(server.server), 10);
    await using conn = await server.connect();
    await conn.send("hi");
    assertEquals(await settles("an answer", conn.receive()), new TextEncoder().encode("hi"));
    assertEquals(server.codes, []);
  },
});

for (const [kind, make] of [["mount", mount], ["hub", hub]] as const) {
  Deno.test({
    name: `${kind}() has nothing to complain of clients that reset before they are accepted`,
    ignore: !linux,
    async fn() {
      const { errors, onError } = complaints();
      await using server = make({ insecureAnyone: true, logger: quiet, onError });
      await server.ready;
      resetBeforeAccept(portOf(server), 10);
      await using wire = join(
        { ...server.addr, identity: "late", logger: quiet } as Parameters<typeof join>[0],
      );
      await settles("joining", wire.ready);
      assertEquals(errors, []);
    },
  });
}

Deno.test({
  name: "forward() has nothing to complain of clients that reset before they are accepted",
  ignore: !linux,
  async fn() {
    const target = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const server = hub({ insecureAnyone: true, logger: quiet });
    await server.ready;
    const [office, home] = ["office", "home"].map((identity) =>
      join({ ...server.addr, identity, logger: quiet } as Parameters<typeof join>[0])
    );
    assert(office !== undefined && home !== undefined);
    await Promise.all([office.ready, home.ready]);
    expose(office, "web", { port: target.addr.port });
    const { errors, onError } = complaints();
    const tunnel = await forward(home, "web", { to: "office", onError });
    resetBeforeAccept(portOf(tunnel), 10);
    const client = await Deno.connect({ hostname: "127.0.0.1", port: portOf(tunnel) });
    const far = await settles("the tunnel", target.accept());
    assertEquals(errors, []);
    client.close();
    far.close();
    target.close();
    await tunnel.abort();
    await Promise.all([home.close(), office.close()]);
    await server.shutdown();
  },
});

Deno.test({
  name:
    "listenIpc() over TCP has nothing to complain of clients that reset before they are accepted",
  ignore: !linux,
  async fn() {
    const warnings: string[] = [];
    const warn = (text: string) => void warnings.push(text);
    const logger = { ...quiet, warn, error: warn };
    const channel = {
      name: "resets",
      transport: "tcp" as const,
      secret: SecretKey.generate(),
      logger,
    };
    await using server = await listenIpc({ ...channel, port: 0, onQuery: (data) => data });
    resetBeforeAccept(portOf(server), 10);
    await using client = await connectIpc({ ...channel, port: portOf(server) });
    assertEquals(await settles("an answer", client.query("x")), new TextEncoder().encode("x"));
    assertEquals(warnings, []);
  },
});
