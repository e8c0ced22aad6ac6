// Another user of the machine: cannot connect, read, replace or squat. Needs root and setpriv to be
// another user.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { AddressError } from "../../errors.ts";
import { connectIpc, listenIpc, SecretKey } from "../../ipc/mod.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { file } from "../support/programs/program.ts";
import { inEnv } from "./support.ts";

/** The other user: `nobody`, on most systems. */
const OTHER = 65534;
/** A user id that no user has. */
const NOBODY_AT_ALL = 4_000_000_001;

const INTRUDER = Deno.readTextFileSync(file("tests/ipc/programs/intruder.js"));

/** Why the tests cannot be run here, `null` when they can. */
async function reasonNotTo(): Promise<string | null> {
  if (Deno.build.os !== "linux") return "needs Linux";
  if (Deno.uid() !== 0) return "needs root";
  try {
    const { code } = await new Deno.Command("setpriv", {
      args: asOther(["--version"]),
      stdout: "null",
      stderr: "null",
    }).output();
    return code === 0 ? null : "another user cannot run this Deno";
  } catch {
    return "needs setpriv";
  }
}

function asOther(args: string[]): string[] {
  return ["--reuid", `${OTHER}`, "--regid", `${OTHER}`, "--clear-groups", Deno.execPath(), ...args];
}

const reason = await reasonNotTo();

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: reason === null ? name : `${name} (ignored: ${reason})`,
    ignore: reason !== null,
    fn,
  });
}

/** A folder that every user can enter, with the intruder's program in it. */
class OpenDir extends TempDir {
  constructor() {
    super();
    Deno.chmodSync(this.path, 0o755);
    Deno.writeTextFileSync(`${this.path}/intruder.js`, INTRUDER, { mode: 0o644 });
    Deno.mkdirSync(`${this.path}/theirs`);
    Deno.chownSync(`${this.path}/theirs`, OTHER, OTHER);
  }

  /** The intruder's process. */
  spawn(what: string, path: string): Deno.ChildProcess {
    return new Deno.Command("setpriv", {
      args: asOther([
        "run",
        "-A",
        "--no-config",
        "--no-lock",
        "--quiet",
        `${this.path}/intruder.js`,
        what,
        path,
      ]),
      cwd: this.path,
      env: { DENO_DIR: `${this.path}/theirs/deno`, HOME: `${this.path}/theirs`, NO_COLOR: "1" },
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  }

  /** Lets the intruder try something; returns what came of it. */
  async intrude(what: string, path: string): Promise<string> {
    const { stdout } = await this.spawn(what, path).output();
    const told = JSON.parse(new TextDecoder().decode(stdout).split("\n")[0]!);
    assertEquals(told.uid, OTHER);
    return told.done === undefined ? told.failed : "done";
  }
}

test("a channel of this user: another cannot connect, list, read the key, replace or remove", async () => {
  await using dir = new OpenDir();
  await Deno.mkdir(`${dir.path}/run`, { mode: 0o700 });
  await inEnv({ XDG_RUNTIME_DIR: `${dir.path}/run` }, async () => {
    await using server = await listenIpc({ name: "test", onQuery: (data) => data });
    const path = server.addr.transport === "unix" ? server.addr.path : "";
    for (
      const [what, target] of [
        ["connect", path],
        ["list", `${dir.path}/run/parley`],
        ["read", `${path}.key`],
        ["replace", path],
        ["remove", path],
        ["remove", `${path}.lock`],
      ] as const
    ) {
      assertEquals(await dir.intrude(what, target), "PermissionDenied", `${what} ${target}`);
    }
    await using client = await connectIpc({ name: "test" });
    assertEquals(await client.query(new Uint8Array([1])), new Uint8Array([1]));
  });
});

test("a socket of this user in a folder that others can enter: they still cannot connect or read the key", async () => {
  await using dir = new OpenDir();
  const path = `${dir.path}/test.sock`;
  await using _server = await listenIpc({ name: "test", path });
  assertEquals(await dir.intrude("connect", path), "PermissionDenied");
  assertEquals(await dir.intrude("read", `${path}.key`), "PermissionDenied");
  assertEquals(await dir.intrude("remove", path), "PermissionDenied");
});

test("a channel for all: another can connect, and gets nowhere without the secret", async () => {
  await using dir = new OpenDir();
  const path = `${dir.path}/test.sock`;
  await using server = await listenIpc({
    name: "test",
    path,
    permissions: "all",
    secret: SecretKey.generate(),
  });
  assertEquals(await dir.intrude("connect", path), "done");
  assertEquals(server.clients.size, 0);
  assertEquals(await dir.intrude("remove", path), "PermissionDenied");
  assertEquals(await dir.intrude("replace", path), "PermissionDenied");
});

test("another user's squatting is recognised: folder, link, socket, all in its place", async () => {
  await using dir = new OpenDir();
  const secret = SecretKey.generate();
  const refused = async (run: () => Promise<unknown>, what: string) => {
    const error = await assertRejects(run, AddressError, undefined, what);
    assert(
      ["ERR_ADDRESS_INVALID", "ERR_ADDRESS_IN_USE"].includes(error.code),
      `${what}: ${error.code}`,
    );
  };
  // A folder of theirs, where a channel of ours is looked for.
  const squat = `/tmp/parley-${NOBODY_AT_ALL}-all`;
  assertEquals(await dir.intrude("squat", squat), "done");
  try {
    const options = {
      name: "test",
      permissions: "all",
      owner: NOBODY_AT_ALL,
      secret,
    } as const;
    await refused(() => connectIpc({ ...options, connectTimeoutMs: 500 }), "folder");
    await refused(() => listenIpc(options), "folder");
  } finally {
    await Deno.remove(squat, { recursive: true });
  }
  assertEquals(await dir.intrude("link", squat), "done");
  try {
    await refused(
      () =>
        connectIpc({
          name: "test",
          permissions: "all",
          owner: NOBODY_AT_ALL,
          secret,
          connectTimeoutMs: 500,
        }),
      "link",
    );
  } finally {
    await Deno.remove(squat);
  }
  // A folder of theirs that our options name.
  const inTheirs = `${dir.path}/theirs/test.sock`;
  await refused(() => listenIpc({ name: "test", path: inTheirs, secret }), "their folder");
  await refused(() => connectIpc({ name: "test", path: inTheirs, secret }), "their folder");
  // A socket of theirs that was moved into a folder of ours.
  const theirs = dir.spawn("listen", inTheirs);
  const told = theirs.stdout.getReader();
  try {
    await told.read();
    await Deno.rename(inTheirs, `${dir.path}/test.sock`);
    await refused(
      () =>
        connectIpc({ name: "test", path: `${dir.path}/test.sock`, secret, connectTimeoutMs: 500 }),
      "their socket",
    );
    await refused(
      () => listenIpc({ name: "test", path: `${dir.path}/test.sock`, secret }),
      "their socket",
    );
    // A client that means them can say so; whether they know the secret is another matter.
    const meant = await assertRejects(() =>
      connectIpc({
        name: "test",
        path: `${dir.path}/test.sock`,
        owner: OTHER,
        secret,
        handshakeTimeoutMs: 100,
        connectTimeoutMs: 300,
      })
    );
    assert((meant as { code?: string }).code !== "ERR_ADDRESS_INVALID");
  } finally {
    await theirs.status; // it takes one connection and ends
    await told.cancel();
  }
});

test("a key file of another user is refused", async () => {
  await using dir = new OpenDir();
  await SecretKey.generate().toFile(`${dir.path}/key`);
  await Deno.chown(`${dir.path}/key`, OTHER, OTHER);
  const error = await assertRejects(() => SecretKey.fromFile(`${dir.path}/key`));
  assertEquals((error as { code?: string }).code, "ERR_FORBIDDEN");
});
