// Where a channel is, and what is refused as not safe.
import { assertEquals, assertRejects } from "@std/assert";
import { AddressError } from "../../../errors.ts";
import { claimSocket } from "../../../ipc/endpoint/claim.ts";
import {
  type Endpoint,
  findEndpoint,
  type IpcAddressOptions,
} from "../../../ipc/endpoint/endpoint.ts";
import { checkSocket } from "../../../ipc/endpoint/place_checks.ts";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";
import { inEnv } from "../support.ts";

type Unix = Endpoint & { kind: "unix" };

async function unix(options: Omit<IpcAddressOptions, "name">): Promise<Unix> {
  return await findEndpoint("Cannot test", { name: "test", ...options }) as Unix;
}

const NET = {
  isListed: () => Promise.resolve(false),
  listen: (path: string, mode: number) => listen({ path, mode }),
  isLive: (path: string) =>
    dial({ path }, { signal: new AbortController().signal }).then(
      (t) => (t.close(), true),
      () => false,
    ),
};

function claim(endpoint: Unix) {
  return claimSocket("Cannot test", endpoint, NET);
}

async function assertCode(code: string, run: () => Promise<unknown>): Promise<void> {
  assertEquals((await assertRejects(run, AddressError)).code, code);
}

Deno.test("findEndpoint puts a channel into this user's own directory", async () => {
  const uid = Deno.uid()!;
  await using dir = new TempDir();
  await inEnv({ XDG_RUNTIME_DIR: undefined }, async () => {
    assertEquals((await unix({})).path, `/tmp/parley-${uid}/test.sock`);
    assertEquals((await unix({ permissions: "group" })).path, `/tmp/parley-${uid}-group/test.sock`);
    const all = await unix({ permissions: "all", owner: 1234 });
    assertEquals([all.path, all.owner, all.makeDirectory], [
      "/tmp/parley-1234-all/test.sock",
      1234,
      false,
    ]);
  });
  await inEnv({ XDG_RUNTIME_DIR: dir.path }, async () => {
    const endpoint = await unix({});
    assertEquals([endpoint.path, endpoint.keyPath], [
      `${dir.path}/parley/test.sock`,
      `${dir.path}/parley/test.sock.key`,
    ]);
    // One that others can enter is not what it should be.
    await Deno.chmod(dir.path, 0o755);
    assertEquals((await unix({})).path, `/tmp/parley-${uid}/test.sock`);
  });
  await inEnv({ XDG_RUNTIME_DIR: "relative" }, async () => {
    assertEquals((await unix({})).path, `/tmp/parley-${uid}/test.sock`);
  });
});

Deno.test("findEndpoint takes host and port from the environment, options first", async () => {
  const tcp = async (transport: "tcp" | "tcp4" | "tcp6", more: Partial<IpcAddressOptions> = {}) => {
    const endpoint = await findEndpoint("Cannot test", { name: "test", transport, ...more });
    return endpoint.kind === "tcp"
      ? [endpoint.hostname, endpoint.port, endpoint.keyPath !== null]
      : [];
  };
  await inEnv({ PARLEY_IPC_HOST: undefined, PARLEY_IPC_PORT: "5000" }, async () => {
    assertEquals(await tcp("tcp"), ["127.0.0.1", 5000, true]);
    assertEquals(await tcp("tcp6"), ["::1", 5000, true]);
    assertEquals(await tcp("tcp4", { hostname: "localhost", port: 7 }), ["127.0.0.1", 7, true]);
  });
  await inEnv({ PARLEY_IPC_HOST: "192.0.2.1", PARLEY_IPC_PORT: "5001" }, async () => {
    assertEquals(await tcp("tcp"), ["192.0.2.1", 5001, false]);
    assertEquals(await tcp("tcp", { hostname: "127.0.0.1" }), ["127.0.0.1", 5001, true]);
    await assertRejects(() => tcp("tcp6"), RangeError);
  });
  await inEnv({ PARLEY_IPC_HOST: undefined, PARLEY_IPC_PORT: undefined }, async () => {
    assertEquals(await tcp("tcp"), ["127.0.0.1", 7300, true]);
  });
  for (const port of ["", "x", "65536", "-1", "1e3"]) {
    await inEnv({ PARLEY_IPC_PORT: port }, () => assertRejects(() => tcp("tcp"), RangeError));
  }
});

Deno.test("findEndpoint refuses names, paths and mixtures that cannot be", async () => {
  for (const name of ["", ".", "..", "a/b", "a b", "é", "a\0", "x".repeat(65)]) {
    await assertRejects(() => findEndpoint("Cannot test", { name }), RangeError, undefined, name);
  }
  await assertRejects(
    () => findEndpoint("Cannot test", { name: 1 as unknown as string }),
    TypeError,
  );
  await findEndpoint("Cannot test", { name: "x".repeat(64) });
  for (const path of ["relative.sock", "/ends/", "/nul\0.sock", ""]) {
    await assertRejects(() => unix({ path }), RangeError, undefined, path);
  }
  await assertRejects(() => unix({ port: 1 }), TypeError);
  await assertRejects(() => unix({ path: "/x/y", transport: "tcp" }), TypeError);
  await assertRejects(() => unix({ permissions: "none" as "all" }), RangeError);
});

Deno.test("findEndpoint counts a path in bytes, 107 at most", async () => {
  await unix({ path: `/tmp/${"é".repeat(51)}` });
  await assertCode("ERR_SOCKET_PATH_TOO_LONG", () => unix({ path: `/tmp/${"é".repeat(51)}x` }));
  await inEnv(
    { XDG_RUNTIME_DIR: undefined },
    () => findEndpoint("Cannot test", { name: "n".repeat(64) }),
  );
});

Deno.test("claimSocket makes a socket with the mode asked for, and removes it", async () => {
  await using dir = new TempDir();
  for (const [permissions, mode] of [["user", 0o600], ["group", 0o660], ["all", 0o666]] as const) {
    const endpoint = await unix({ path: `${dir.path}/a.sock`, permissions });
    const claimed = await claim(endpoint);
    const info = await Deno.lstat(endpoint.path);
    assertEquals([info.isSocket, info.mode! & 0o777], [true, mode]);
    assertEquals(await checkSocket("Cannot test", endpoint), true);
    claimed.release();
    claimed.release();
    assertEquals(await checkSocket("Cannot test", endpoint), false);
  }
  assertEquals([...Deno.readDirSync(dir.path)], []);
});

Deno.test("claimSocket lets one of twenty at once win, and takes over what a dead one left", async () => {
  await using dir = new TempDir();
  const endpoint = await unix({ path: `${dir.path}/a.sock` });
  for (let round = 0; round < 3; round++) {
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => claim(endpoint)));
    const won = results.filter((result) => result.status === "fulfilled");
    assertEquals(won.length, 1);
    for (const result of results) {
      if (result.status === "rejected") assertEquals(result.reason.code, "ERR_ADDRESS_IN_USE");
    }
    won[0]!.value.release();
  }
  // A socket without its process: bound under another name, moved here, and closed.
  const stale = Deno.listen({ transport: "unix", path: `${dir.path}/other` });
  await Deno.rename(`${dir.path}/other`, endpoint.path);
  stale.close();
  assertEquals((await Deno.lstat(endpoint.path)).isSocket, true);
  (await claim(endpoint)).release();
});

Deno.test("claimSocket never takes what lives, is no socket, or whose lock is held", async () => {
  await using dir = new TempDir();
  const endpoint = await unix({ path: `${dir.path}/a.sock` });
  const other = Deno.listen({ transport: "unix", path: endpoint.path });
  await assertCode("ERR_ADDRESS_IN_USE", () => claim(endpoint));
  assertEquals(await NET.isLive(endpoint.path), true);
  other.close();
  await Deno.writeTextFile(endpoint.path, "precious");
  await assertCode("ERR_ADDRESS_IN_USE", () => claim(endpoint));
  assertEquals(await Deno.readTextFile(endpoint.path), "precious");
  await Deno.remove(endpoint.path);
  await Deno.symlink(`${dir.path}/elsewhere`, endpoint.path);
  await assertCode("ERR_ADDRESS_IN_USE", () => claim(endpoint));
  await assertCode("ERR_NOT_OUR_PROTOCOL", () => checkSocket("Cannot test", endpoint));
  await Deno.remove(endpoint.path);
  await Deno.symlink(`${dir.path}/elsewhere`, `${endpoint.path}.lock`);
  await assertCode("ERR_ADDRESS_IN_USE", () => claim(endpoint));
});

Deno.test("claimSocket's release leaves a successor's socket alone", async () => {
  await using dir = new TempDir();
  const endpoint = await unix({ path: `${dir.path}/a.sock` });
  const first = await claim(endpoint);
  // Another program cleaned up behind our back, lock and all.
  await Deno.remove(endpoint.path);
  await Deno.remove(`${endpoint.path}.lock`);
  const second = await claim(endpoint);
  first.release();
  assertEquals(await NET.isLive(endpoint.path), true);
  second.release();
});

Deno.test("directories that others can write, links and files in their place are refused by both sides", async () => {
  await using dir = new TempDir();
  const inside = `${dir.path}/inside`;
  const endpoint = await unix({ path: `${inside}/a.sock` });
  const refused = async () => {
    await assertCode("ERR_ADDRESS_INVALID", () => claim(endpoint));
    await assertCode("ERR_ADDRESS_INVALID", () => checkSocket("Cannot test", endpoint));
  };
  await Deno.mkdir(inside);
  for (const mode of [0o777, 0o1777, 0o770, 0o702]) {
    await Deno.chmod(inside, mode);
    await refused();
  }
  await Deno.remove(inside);
  await Deno.mkdir(`${dir.path}/real`, { mode: 0o700 });
  await Deno.symlink(`${dir.path}/real`, inside);
  await refused();
  await Deno.remove(inside);
  await Deno.writeTextFile(inside, "");
  await refused();
  await Deno.remove(inside);
  await assertCode("ERR_ADDRESS_INVALID", () => claim(endpoint));
  assertEquals(await checkSocket("Cannot test", endpoint), false);
});

Deno.test("our own directory is made private, and refused when it is not", async () => {
  await using dir = new TempDir();
  await inEnv({ XDG_RUNTIME_DIR: dir.path }, async () => {
    const endpoint = await unix({});
    (await claim(endpoint)).release();
    assertEquals((await Deno.lstat(`${dir.path}/parley`)).mode! & 0o777, 0o700);
    for (const mode of [0o750, 0o705, 0o711]) {
      await Deno.chmod(`${dir.path}/parley`, mode);
      await assertCode("ERR_ADDRESS_INVALID", () => claim(endpoint));
    }
  });
});
