// The place of a channel: its lock, key and socket, what becomes of them when they are removed, and
// that two servers never have it.
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { ParleyError } from "../../errors.ts";
import { ChannelLock } from "../../ipc/endpoint/channel_lock.ts";
import { claimSocket } from "../../ipc/endpoint/claim.ts";
import { type Endpoint, findEndpoint } from "../../ipc/endpoint/endpoint.ts";
import { elsewhereText } from "../../ipc/endpoint/place_checks.ts";
import { connectIpc, listenIpc, pairIpc, SecretKey } from "../../ipc/mod.ts";
import { dial } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";
import { runProgram } from "../support/programs/program.ts";
import { errorOf } from "../support/peers/servers.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles } from "../support/wait.ts";
import { assertCode, Channel, text } from "./channels.ts";
import { inEnv } from "./support.ts";

const isLive = (path: string) =>
  dial({ path }, { signal: new AbortController().signal }).then(
    (t) => (t.close(), true),
    () => false,
  );

/** The network as it is for a program that cannot see which sockets the system lists. */
const NET = {
  listen: (path: string, mode: number) => listen({ path, mode }),
  isLive,
  isListed: () => Promise.resolve(false),
};

async function unix(path: string): Promise<Endpoint & { kind: "unix" }> {
  return await findEndpoint("Cannot test", { name: "test", path }) as Endpoint & { kind: "unix" };
}

/** Removes what is there of a channel. */
async function removeFiles(
  path: string,
  kinds: readonly string[] = ["", ".lock", ".key"],
): Promise<void> {
  for (const kind of kinds) await Deno.remove(path + kind).catch(() => {});
}

function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map((entry) => entry.name).sort();
}

Deno.test("ChannelLock.take has one holder, and is free again once that has gone", async () => {
  await using dir = new TempDir();
  const path = `${dir.path}/lock`;
  const held = await ChannelLock.take("Cannot test", path, 0o600);
  assertEquals(await ChannelLock.take("Cannot test", path, 0o600), null);
  held!.release();
  assertEquals(names(dir.path), []);
  const next = await ChannelLock.take("Cannot test", path, 0o660);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o660); // whatever the umask is
  next!.close();
  assertEquals(names(dir.path), ["lock"]);
});

Deno.test("ChannelLock.take does not take the lock of a file that its holder removed meanwhile", async () => {
  await using dir = new TempDir();
  const path = `${dir.path}/lock`;
  const { tryLock } = Deno.FsFile.prototype;
  let second: ChannelLock | null = null;
  // Between our opening and locking the file, its holder removes it, and another starter makes one
  // and locks that.
  Deno.FsFile.prototype.tryLock = async function (exclusive) {
    Deno.FsFile.prototype.tryLock = tryLock;
    await Deno.remove(path);
    second = await ChannelLock.take("Cannot test", path, 0o600);
    return await tryLock.call(this, exclusive);
  };
  try {
    assertEquals(await ChannelLock.take("Cannot test", path, 0o600), null);
  } finally {
    Deno.FsFile.prototype.tryLock = tryLock;
  }
  assert(second!.isInPlace);
  second!.release();
});

Deno.test("claimSocket makes socket, lock and key anew, whichever of them is removed or replaced", async () => {
  await using dir = new TempDir();
  const endpoint = await unix(`${dir.path}/a.sock`);
  let keys = 0;
  const key = {
    claim: () => Promise.resolve(),
    keep: () => Promise.resolve(void keys++),
    drop: () => {},
  };
  const faults: unknown[] = [];
  const claim = await claimSocket("Cannot test", endpoint, NET, {
    key,
    onFault: (e) => faults.push(e),
  });
  const { path, lockPath } = endpoint;
  for (const gone of [[path], [lockPath], [path, lockPath]]) {
    for (const file of gone) await Deno.remove(file);
    await claim.check();
    assertEquals(names(dir.path), ["a.sock", "a.sock.lock"], gone.join());
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
    await assertCode("ERR_ADDRESS_IN_USE", () => claimSocket("Cannot test", endpoint, NET));
  }
  // A socket that was left behind, and a lock that no process holds.
  const stale = Deno.listen({ transport: "unix", path: `${dir.path}/other` });
  await Deno.rename(`${dir.path}/other`, path);
  stale.close();
  await Deno.writeTextFile(`${dir.path}/lock`, "");
  await Deno.rename(`${dir.path}/lock`, lockPath);
  await claim.check();
  assert(await isLive(path));
  // What is no socket is left alone, reported once, and followed by the socket when it has gone.
  await Deno.remove(path);
  await Deno.writeTextFile(path, "precious");
  await claim.check();
  await claim.check();
  assertEquals([faults.length, await Deno.readTextFile(path)], [1, "precious"]);
  await Deno.remove(path);
  await claim.check();
  assert(keys > 0 && await isLive(path));
  claim.release();
  assertEquals(names(dir.path), []);
});

Deno.test("claimSocket accepts on the socket that was made anew, in the accept that waited", async () => {
  await using dir = new TempDir();
  const endpoint = await unix(`${dir.path}/a.sock`);
  const claim = await claimSocket("Cannot test", endpoint, NET);
  const accepted = claim.listener.accept();
  await Deno.remove(endpoint.path);
  await claim.check();
  const transport = await dial({ path: endpoint.path }, { signal: new AbortController().signal });
  (await settles("accept", accepted))!.refuse();
  transport.close();
  const last = claim.listener.accept();
  claim.release();
  // Until then the platform may still remove what is at the path: no other server may have it.
  assert(names(dir.path).includes("a.sock.lock"));
  assertEquals(await last, null);
  assertEquals(names(dir.path), []);
});

Deno.test("claimSocket gives way when another server got the channel meanwhile, and removes nothing of it", async () => {
  await using dir = new TempDir();
  const endpoint = await unix(`${dir.path}/a.sock`);
  const first = await claimSocket("Cannot test", endpoint, NET);
  const waiting = first.listener.accept();
  await removeFiles(endpoint.path);
  const second = await claimSocket("Cannot test", endpoint, NET);
  await first.check();
  assertEquals((await settles("lost", first.lost)).code, "ERR_ADDRESS_IN_USE");
  assertEquals(await waiting, null);
  await second.check();
  assert(await isLive(endpoint.path));
  assertEquals(names(dir.path), ["a.sock", "a.sock.lock"]);
  second.release();
  assertEquals(names(dir.path), []);
});

Deno.test("claimSocket outlasts a starter that holds the lock for a moment", async () => {
  await using dir = new TempDir();
  const endpoint = await unix(`${dir.path}/a.sock`);
  const claim = await claimSocket("Cannot test", endpoint, NET);
  await Deno.remove(endpoint.lockPath);
  const starter = await ChannelLock.take("Cannot test", endpoint.lockPath, 0o600);
  await claim.check();
  await claim.check();
  starter!.release();
  await claim.check();
  assert(await isLive(endpoint.path));
  await assertCode("ERR_ADDRESS_IN_USE", () => claimSocket("Cannot test", endpoint, NET));
  // One that holds it on and on is a server that we cannot reach.
  await Deno.remove(endpoint.lockPath);
  const server = await ChannelLock.take("Cannot test", endpoint.lockPath, 0o600);
  for (let look = 0; look < 3; look++) await claim.check();
  await settles("lost", claim.lost);
  server!.release();
});

Deno.test("listenIpc refuses a second server at once after all files of the first were removed, and clients find the first", async () => {
  await using channel = new Channel();
  await using _first = await listenIpc({ ...channel.options, onQuery: () => "first" });
  await removeFiles(channel.path);
  const second = errorOf(listenIpc({ ...channel.options, onQuery: () => "second" }));
  await using client = await connectIpc(channel.options);
  assertEquals(text(await client.query("who?")), "first");
  assertEquals(
    (await settles("the second server", second) as { code?: string }).code,
    "ERR_ADDRESS_IN_USE",
  );
});

Deno.test("listenIpc ends, and pairIpc decides its role anew, when another server holds the channel", async () => {
  await using one = new Channel();
  await using two = new Channel();
  const errors: unknown[] = [];
  const server = await listenIpc({ ...one.options, onError: (error) => errors.push(error) });
  const pair = await pairIpc(two.options, (data) => data);
  const held = await Promise.all([one, two].map(async ({ path }) => {
    await removeFiles(path);
    return await ChannelLock.take("Cannot test", `${path}.lock`, 0o600);
  }));
  await settles("the server", server.finished);
  assertEquals(errors.map((error) => (error as { code?: string }).code), ["ERR_ADDRESS_IN_USE"]);
  const statuses = pair.statuses();
  const until = async (wanted: string) => {
    while ((await statuses.next()).value?.status !== wanted);
  };
  await settles("the pair's loss", until("reconnecting"));
  assertEquals(pair.role, null);
  for (const lock of held) lock!.release();
  await settles("the pair's new role", until("listening"));
  await using _other = await pairIpc(two.options, (data) => data);
  assertEquals(pair.role, "server");
  await pair.close();
});

Deno.test("listenIpc makes the key anew with its bytes, follows one that was put there, and replaces what is none", async () => {
  await using channel = new Channel();
  const keyPath = `${channel.path}.key`;
  await using _server = await listenIpc({ ...channel.options, onQuery: () => "here" });
  const answered = async () => {
    await using client = await connectIpc(channel.options);
    return text(await client.query("x"));
  };
  const bytes = await Deno.readFile(keyPath);
  await Deno.remove(keyPath);
  assertEquals(await answered(), "here");
  assertEquals(await Deno.readFile(keyPath), bytes);
  await Deno.writeFile(`${keyPath}.new`, bytes.toReversed(), { mode: 0o600 });
  await Deno.rename(`${keyPath}.new`, keyPath);
  // Refused until the server has looked.
  const follows = async () => {
    for (;;) if (await answered().catch(() => "") === "here") return;
  };
  await settles("a client with the other key", follows());
  assertEquals(await Deno.readFile(keyPath), bytes.toReversed());
});

Deno.test("listenIpc notices a key file that was changed in place or made again, and removes it at the end", async () => {
  const other = new Uint8Array(32).fill(9);
  const changes: [string, (path: string) => void][] = [
    [
      "made again",
      (path) => (Deno.removeSync(path), Deno.writeFileSync(path, other, { mode: 0o600 })),
    ],
    ["written to", (path) => Deno.writeFileSync(path, other)],
    ["emptied", (path) => Deno.truncateSync(path)],
    ["opened to others", (path) => Deno.chmodSync(path, 0o644)],
    ["made a directory", (path) => (Deno.removeSync(path), Deno.mkdirSync(path))],
  ];
  await Promise.all(changes.map(async ([name, change]) => {
    await using dir = new TempDir();
    const options = { name: "changed-key", path: `${dir.path}/s.sock` };
    // Clients with the other key are refused until the server has looked.
    const server = await listenIpc({ ...options, onQuery: () => "here", onError: () => {} });
    change(`${options.path}.key`);
    const answered = async () => {
      await using client = await connectIpc(options);
      return text(await client.query("x"));
    };
    const noticed = async () => {
      while (await answered().catch(() => "") !== "here");
    };
    await settles(`a client after the key was ${name}`, noticed());
    await server.shutdown();
    assertEquals([name, names(dir.path)], [name, []]);
  }));
});

Deno.test("listenIpc leaves a key file where it is that a user put there and others may read, and reports it", async () => {
  await using dir = new TempDir();
  const path = `${dir.path}/s.sock`;
  const keyPath = `${path}.key`;
  await SecretKey.generate().toFile(keyPath);
  const reported = Promise.withResolvers<unknown>();
  await using server = await listenIpc({
    name: "own-key",
    path,
    onError: (error) => reported.resolve(error),
  });
  const replaced = crypto.getRandomValues(new Uint8Array(32));
  await Deno.writeFile(`${keyPath}.new`, replaced);
  await Deno.chmod(`${keyPath}.new`, 0o644);
  await Deno.rename(`${keyPath}.new`, keyPath);
  const error = await settles("the report", reported.promise);
  assertEquals((error as ParleyError).code, "ERR_FORBIDDEN");
  assertEquals(await Deno.readFile(keyPath), replaced);
  await server.shutdown();
  assertEquals(names(dir.path), ["s.sock.key"]);
});

Deno.test("listenIpc leaves nothing of ended channels behind", async () => {
  await using dir = new TempDir();
  await inEnv({ XDG_RUNTIME_DIR: dir.path }, async () => {
    for (const name of ["one", "two"]) {
      await using server = await listenIpc({ name, onQuery: (data) => data });
      await using client = await connectIpc({ name });
      await client.query("x");
      assertEquals(server.clients.size, 1);
    }
    await (await listenIpc({ name: "three", transport: "tcp", port: 0 })).shutdown();
    assertEquals(names(`${dir.path}/parley`), []);
  });
});

const TMPFILES = "systemd-tmpfiles";
const hasTmpfiles = await new Deno.Command(TMPFILES, {
  args: ["--version"],
  stdout: "null",
  stderr: "null",
})
  .output().then(({ code }) => code === 0, () => false);

Deno.test({
  name: "listenIpc outlives systemd-tmpfiles --clean over its directory",
  ignore: !hasTmpfiles,
  async fn() {
    await using dir = new TempDir();
    await inEnv({ XDG_RUNTIME_DIR: dir.path }, async () => {
      await using server = await listenIpc({ name: "cleaned", onQuery: () => "here" });
      const { path } = server.addr as Deno.UnixAddr;
      await Deno.writeTextFile(`${dir.path}/parley/old`, "");
      await Deno.writeTextFile(`${dir.path}/rules.conf`, `d ${dir.path}/parley 0700 - - 0\n`);
      const args = ["--clean", `${dir.path}/rules.conf`];
      const { code } = await new Deno.Command(TMPFILES, { args, stdout: "null", stderr: "null" })
        .output();
      assertEquals(code, 0);
      // It did remove what is not in use, and keeps a socket that is.
      assert(!names(`${dir.path}/parley`).includes("old"));
      assert((await Deno.lstat(path)).isSocket);
      await using client = await connectIpc({ name: "cleaned" });
      assertEquals(text(await client.query("who?")), "here");
    });
  },
});

Deno.test("connectIpc names the other place where processes with another XDG_RUNTIME_DIR look", async () => {
  await using dir = new TempDir();
  const name = `elsewhere-${crypto.randomUUID()}`;
  const options = { name, connectTimeoutMs: 200 };
  const uid = Deno.uid();
  await inEnv({ XDG_RUNTIME_DIR: dir.path }, async () => {
    const error = await assertRejects(() => connectIpc(options)) as Error;
    assertStringIncludes(
      (error.cause as Error).message,
      `nor at "/tmp/parley-${uid}/${name}.sock"`,
    );
  });
  await inEnv({ XDG_RUNTIME_DIR: undefined }, async () => {
    const endpoint = await findEndpoint("Cannot test", { name });
    assertStringIncludes(
      await elsewhereText(endpoint),
      `nor at "/run/user/${uid}/parley/${name}.sock"`,
    );
    await using _server = await listenIpc({ name });
    await inEnv({ XDG_RUNTIME_DIR: dir.path }, async () => {
      const error = await assertRejects(() => connectIpc(options)) as Error;
      assertStringIncludes(
        (error.cause as Error).message,
        `there is "/tmp/parley-${uid}/${name}.sock"`,
      );
    });
  });
});

Deno.test("findEndpoint refuses a /tmp in which others can move our directory away", async () => {
  const { stat } = Deno;
  let mode = 0o40777;
  Deno.stat = async (path) => path === "/tmp" ? { ...await stat(path), mode } : await stat(path);
  try {
    await inEnv({ XDG_RUNTIME_DIR: undefined }, async () => {
      await assertCode("ERR_ADDRESS_INVALID", () => findEndpoint("Cannot test", { name: "test" }));
      // Over TCP it matters where the channel's own key is used, and nowhere else.
      const tcp = { name: "test", transport: "tcp", port: 1 } as const;
      await assertCode("ERR_ADDRESS_INVALID", () => findEndpoint("Cannot test", tcp));
      for (const more of [{ secret: "any" }, { insecureAnonymous: true }]) {
        const endpoint = await findEndpoint("Cannot test", { ...tcp, ...more });
        assertEquals([endpoint.keyPath, endpoint.directory], [null, null]);
      }
      mode = 0o41777;
      await findEndpoint("Cannot test", { name: "test" });
    });
  } finally {
    Deno.stat = stat;
  }
});

Deno.test("a channel for the group has a lock that the group may look at, one for all has not", async () => {
  await using dir = new TempDir();
  const path = `${dir.path}/a.sock`;
  const secret = SecretKey.generate();
  for (
    const [permissions, socket, lock] of [["group", 0o660, 0o660], ["all", 0o666, 0o600]] as const
  ) {
    await using _server = await listenIpc({ name: "test", path, permissions, secret });
    assertEquals([path, `${path}.lock`].map((file) => Deno.statSync(file).mode! & 0o777), [
      socket,
      lock,
    ]);
  }
});

Deno.test({
  name: "connectIpc and listenIpc say whose a channel is that is private to another user",
  ignore: Deno.build.os === "windows" || Deno.uid() !== 0, // only root can become another user
  async fn() {
    await using dir = new TempDir();
    const { code, stdout, stderr } = await runProgram("tests/ipc/programs/others_channel.ts", [
      dir.path,
    ]);
    assertEquals(code, 0, stderr);
    const lines = stdout.trim().split("\n");
    assertEquals(lines.length, 4, stdout);
    for (const line of lines.slice(0, 3)) {
      assertMatch(line, /^ERR_ADDRESS_INVALID .*"\/[^"]+" belongs to user 0 and has mode 0\d{3}$/);
    }
    assertMatch(lines[3]!, /^ERR_FORBIDDEN .*\.key/);
  },
});
