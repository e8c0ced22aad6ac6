// Servers on unix sockets: permissions, paths that cannot be used, files that stay behind.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { AddressError, connect, serve } from "@parley/parley";
import { ask, echo, lines, started } from "../support/peers/servers.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

const ignore = Deno.build.os === "windows";
const name = (sentence: string) =>
  ignore ? `${sentence} (ignored: no unix sockets here)` : sentence;

async function modeOf(path: string): Promise<number> {
  return ((await Deno.lstat(path)).mode ?? 0) & 0o777;
}

Deno.test({
  name: name(
    "serve({ path }) listens on a unix socket that only its user can reach, and removes it",
  ),
  ignore,
  async fn() {
    await using folder = new TempDir();
    const path = `${folder.path}/app.sock`;
    await using test = await started({ path });
    assertEquals(test.server.addr, { transport: "unix", path });
    assertEquals(await modeOf(path), 0o600);
    const conns = await Promise.all(Array.from({ length: 10 }, () => test.connect()));
    for (const [i, conn] of conns.entries()) assertEquals(await ask(conn, `${i}`), `${i}`);
    const [live] = test.server.connections.values();
    assertEquals([live?.localAddr, live?.tls], [{ transport: "unix", path }, undefined]);
    await Promise.all(conns.map((conn) => conn.close()));
    await test.server.shutdown();
    assertEquals(await Array.fromAsync(Deno.readDir(folder.path)), []);
  },
});

Deno.test({
  name: name("serve({ path, mode }) gives the socket the mode that is asked for"),
  ignore,
  async fn() {
    await using folder = new TempDir();
    for (const mode of [0o600, 0o660, 0o666, 0o777]) {
      const path = `${folder.path}/${mode}.sock`;
      await using _test = await started({ path, mode });
      assertEquals(await modeOf(path), mode);
    }
  },
});

Deno.test({
  name: name(
    "Server.ready rejects for a path in use, too long, a file of another kind, and no folder",
  ),
  ignore,
  async fn() {
    await using folder = new TempDir();
    const file = `${folder.path}/file`;
    await Deno.writeTextFile(file, "precious");
    const path = `${folder.path}/app.sock`;
    await using test = await started({ path });
    const bad: [string, string][] = [
      [path, "ERR_ADDRESS_IN_USE"],
      [file, "ERR_ADDRESS_IN_USE"],
      [`${folder.path}/${"x".repeat(108)}`, "ERR_SOCKET_PATH_TOO_LONG"],
      [`${folder.path}/nowhere/app.sock`, "ERR_ADDRESS_INVALID"],
    ];
    for (const [where, code] of bad) {
      const told: string[] = [];
      const server = serve({ path: where, onError: (_error, { phase }) => told.push(phase) }, echo);
      const error = await assertRejects(() => server.ready, AddressError);
      assertEquals([error.code, told], [code, []], error.message);
    }
    assertEquals(await Deno.readTextFile(file), "precious");
    await using conn = await test.connect();
    assertEquals(await ask(conn, "still here"), "still here");
  },
});

Deno.test({
  name: name("serve({ path }) takes over the socket that a dead process left behind"),
  ignore,
  async fn() {
    await using folder = new TempDir();
    const path = `${folder.path}/app.sock`;
    const crashed = Deno.listen({ transport: "unix", path: `${folder.path}/other.sock` });
    await Deno.rename(`${folder.path}/other.sock`, path);
    crashed.close();
    assert((await Deno.lstat(path)).isSocket);
    await using test = await started({ path });
    await using conn = await test.connect();
    assertEquals(await ask(conn, "one"), "one");
  },
});

Deno.test({
  name: name("Server on a unix socket drains, and refuses who comes late"),
  ignore,
  async fn() {
    await using folder = new TempDir();
    const path = `${folder.path}/app.sock`;
    await using test = await started({ path });
    const conn = await test.connect();
    assertEquals(await ask(conn, "one"), "one");
    const shutdown = test.server.shutdown();
    const late = await assertRejects(() => connect({ path, ...lines }), AddressError);
    assertEquals(late.code, "ERR_CONNECT_REFUSED");
    assertEquals(await conn.receive(), null);
    await conn.close();
    await shutdown;
  },
});
