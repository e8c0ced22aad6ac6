// Unix sockets: stale ones taken over, live ones never; modes, lengths and successors.
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import net from "node:net";
import { AddressError } from "../../../errors.ts";
import { dial } from "../../../net/dial.ts";
import { listen, type ListenTls } from "../../../net/listen.ts";
import type { Listener } from "../../../net/transport/transport.ts";
import { clientTls, sourceOf, testCerts } from "../../support/programs/certs.ts";

const ignore = Deno.build.os === "windows";
const never: AbortSignal = new AbortController().signal;

/** Runs a test over plain sockets, and over TLS, whose listener is another. */
function test(
  name: string,
  body: (directory: string, tls: ListenTls | undefined) => Promise<void>,
): void {
  for (const kind of ["plain", "TLS"]) {
    Deno.test({
      name: `${name} (${kind})`,
      ignore,
      fn: async () => {
        const directory = await Deno.makeTempDir();
        try {
          const tls = kind === "plain"
            ? undefined
            : { credentials: sourceOf((await testCerts()).server) };
          await body(directory, tls);
        } finally {
          await Deno.remove(directory, { recursive: true });
        }
      },
    });
  }
}

async function assertServes(
  listener: Listener,
  path: string,
  tls: ListenTls | undefined,
): Promise<void> {
  const client = tls && clientTls(await testCerts());
  const opening = listener.accept().then((incoming) => incoming!.open({ signal: never }));
  const [near, far] = await Promise.all([dial({ path, tls: client }, { signal: never }), opening]);
  await near.write(new Uint8Array([1]));
  assertEquals(await far.read(), new Uint8Array([1]));
  near.close();
  far.close();
}

/** A socket file whose listener is gone, as after a crash. */
async function makeStale(path: string): Promise<void> {
  const beside = `${path}.was`;
  const listener = Deno.listen({ transport: "unix", path: beside });
  await Deno.rename(beside, path);
  listener.close();
}

test(
  "listen() on a path gives the mode that was asked for and removes the file when closed",
  async (directory, tls) => {
    const path = `${directory}/socket`;
    for (const mode of [0o600, 0o660, 0o666]) {
      const listener = await listen({ path, mode, tls });
      assertEquals(listener.addr, { transport: "unix", path });
      const { mode: found, isSocket } = await Deno.lstat(path);
      assert(isSocket);
      assertEquals(found! & 0o777, mode);
      await assertServes(listener, path, tls);
      listener.close();
      assertEquals([...Deno.readDirSync(directory)], []);
    }
  },
);

test("listen() on a path takes over a stale socket", async (directory, tls) => {
  const path = `${directory}/socket`;
  await makeStale(path);
  const listener = await listen({ path, tls });
  await assertServes(listener, path, tls);
  listener.close();
  assertEquals([...Deno.readDirSync(directory)], []);
});

test(
  "listen() on a path where a program listens fails with ERR_ADDRESS_IN_USE",
  async (directory, tls) => {
    const path = `${directory}/socket`;
    const listener = await listen({ path, tls });
    const error = await assertRejects(() => listen({ path, tls }), AddressError);
    assertEquals(error.code, "ERR_ADDRESS_IN_USE");
    // The other's look at it counts as a connection.
    (await listener.accept())!.refuse();
    await assertServes(listener, path, tls);
    assertEquals([...Deno.readDirSync(directory)].map(({ name }) => name), ["socket"]);
    listener.close();
  },
);

test("listen() never replaces a file that is no socket", async (directory, tls) => {
  const path = `${directory}/socket`;
  await Deno.writeTextFile(path, "dear");
  const error = await assertRejects(() => listen({ path, tls }), AddressError);
  assertEquals(error.code, "ERR_ADDRESS_IN_USE");
  assertEquals(await Deno.readTextFile(path), "dear");
  await Deno.remove(path);
  await Deno.symlink(`${directory}/elsewhere`, path);
  await assertRejects(() => listen({ path, tls }), AddressError);
  assert((await Deno.lstat(path)).isSymlink);
});

test(
  "Listener.close() while an accept waits leaves a successor's socket alone",
  async (directory, tls) => {
    const path = `${directory}/socket`;
    const first = await listen({ path, tls });
    const waiting = first.accept();
    await Deno.remove(path);
    const successor = await listen({ path, tls });
    first.close();
    assertEquals(await waiting, null);
    await assertServes(successor, path, tls);
    successor.close();
    assertEquals([...Deno.readDirSync(directory)], []);
  },
);

test("Listener.close() on a path leaves a successor's socket alone", async (directory, tls) => {
  const path = `${directory}/socket`;
  const first = await listen({ path, tls });
  await Deno.remove(path);
  const second = await listen({ path, tls });
  first.close();
  await assertServes(second, path, tls);
  second.close();
  assertEquals([...Deno.readDirSync(directory)], []);
});

test("listen() twenty times at once on a stale path succeeds once", async (directory, tls) => {
  const path = `${directory}/socket`;
  await makeStale(path);
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => listen({ path, tls })));
  const won = all.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
  for (const one of all) {
    if (one.status === "rejected") {
      assertEquals((one.reason as AddressError).code, "ERR_ADDRESS_IN_USE");
    }
  }
  assertEquals(won.length, 1);
  for (const listener of won) {
    listener.close();
  }
  assertEquals([...Deno.readDirSync(directory)], []);
});

test("listen() takes a path of 107 bytes and no more", async (directory, tls) => {
  const path = `${directory}/${"é".repeat(53)}`;
  const fit = `${directory}/${"x".repeat(107 - directory.length - 1)}`;
  const listener = await listen({ path: fit, tls });
  await assertServes(listener, fit, tls);
  listener.close();
  for (const long of [`${fit}x`, path]) {
    const error = await assertRejects(() => listen({ path: long, tls }), AddressError);
    assertEquals(error.code, "ERR_SOCKET_PATH_TOO_LONG");
    const dialled = await assertRejects(
      async () =>
        await dial({ path: long, tls: tls && clientTls(await testCerts()) }, {
          signal: never,
        }),
      AddressError,
    );
    assertEquals(dialled.code, "ERR_SOCKET_PATH_TOO_LONG");
  }
  for (const wrong of ["", "a\0b"]) {
    await assertRejects(() => listen({ path: wrong, tls }), TypeError, "path");
  }
});

test(
  "dial() on a path without a listener fails with ERR_CONNECT_REFUSED",
  async (directory, tls) => {
    const path = `${directory}/socket`;
    const client = tls && clientTls(await testCerts());
    for (const prepare of [() => Promise.resolve(), () => makeStale(path)]) {
      await prepare();
      const error = await assertRejects(
        () => dial({ path, tls: client }, { signal: never }),
        AddressError,
      );
      assertEquals(error.code, "ERR_CONNECT_REFUSED");
    }
  },
);

test(
  "listen() in a directory that is not there fails with ERR_ADDRESS_INVALID",
  async (directory, tls) => {
    const error = await assertRejects(
      () => listen({ path: `${directory}/no/socket`, tls }),
      AddressError,
    );
    assertEquals(error.code, "ERR_ADDRESS_INVALID");
  },
);

/** Looks at a directory at each moment in which a socket's mode could be another than at its end. */
function widestSeen(directory: string): { readonly bits: () => number; [Symbol.dispose](): void } {
  let widest = 0;
  const look = (at: string): void => {
    for (const { name, isDirectory } of Deno.readDirSync(at)) {
      const mode = Deno.lstatSync(`${at}/${name}`).mode! & 0o777;
      if (!isDirectory) widest |= mode;
      else if ((mode & 0o011) !== 0) look(`${at}/${name}`);
    }
  };
  const { listen, chmod, link } = Deno;
  const { createServer } = net;
  Object.assign(Deno, {
    listen(...given: Parameters<typeof listen>) {
      const made = listen(...given);
      look(directory);
      return made;
    },
    chmod(...given: Parameters<typeof chmod>) {
      look(directory);
      return chmod(...given);
    },
    link(...given: Parameters<typeof link>) {
      look(directory);
      return link(...given);
    },
  });
  Object.assign(net, {
    createServer(...given: Parameters<typeof createServer>) {
      const server = createServer(...given);
      server.on("listening", () => look(directory));
      return server;
    },
  });
  return {
    bits: () => (look(directory), widest),
    [Symbol.dispose]() {
      Object.assign(Deno, { listen, chmod, link });
      Object.assign(net, { createServer });
    },
  };
}

/** What a program may do; its socket's mode is then set by the umask, or in a private directory. */
const PERMISSIONS: readonly [string, Deno.TestDefinition["permissions"]][] = [
  ["by the umask", "inherit"],
  ["without a permission for the umask", {
    read: true,
    write: true,
    net: true,
    sys: ["osRelease"],
    env: true,
  }],
];

for (const [how, permissions] of PERMISSIONS) {
  for (const kind of ["plain", "TLS"]) {
    Deno.test({
      name:
        `listen() on a path never shows a socket with a wider mode than was asked for, ${how} (${kind})`,
      ignore,
      ...permissions !== undefined && { permissions },
      async fn() {
        const directory = await Deno.makeTempDir();
        await Deno.chmod(directory, 0o777);
        const tls = kind === "plain"
          ? undefined
          : { credentials: sourceOf((await testCerts()).server) };
        for (const mode of [0o600, 0o660, 0o666]) {
          const path = `${directory}/socket`;
          using seen = widestSeen(directory);
          const listener = await listen({ path, mode, tls });
          assertEquals([seen.bits(), (await Deno.lstat(path)).mode! & 0o777], [mode, mode]);
          await assertServes(listener, path, tls);
          listener.close();
          assertEquals([...Deno.readDirSync(directory)], []);
        }
        await Deno.remove(directory);
      },
    });
  }
}

test("listen() on a path is listed by the system under that very path", async (directory, tls) => {
  const path = `${directory}/socket`;
  const listener = await listen({ path, mode: 0o600, tls });
  if (Deno.build.os === "linux") {
    assertStringIncludes(await Deno.readTextFile("/proc/net/unix"), ` ${path}\n`);
  }
  listener.close();
});

Deno.test({
  name:
    "listen() on a long path sets its mode in a private directory, or says that there is no room for one",
  ignore,
  permissions: { read: true, write: true, net: true },
  async fn() {
    const directory = await Deno.makeTempDir();
    await Deno.chmod(directory, 0o755);
    const deep = `${directory}/${"d".repeat(100 - directory.length - 1)}`;
    await Deno.mkdir(deep, { mode: 0o755 });
    const listener = await listen({ path: `${deep}/s`, mode: 0o600 });
    assertEquals((await Deno.lstat(`${deep}/s`)).mode! & 0o777, 0o600);
    listener.close();
    const deeper = `${directory}/${"e".repeat(104 - directory.length - 1)}`;
    await Deno.mkdir(deeper, { mode: 0o755 });
    const error = await assertRejects(
      () => listen({ path: `${deeper}/s`, mode: 0o600 }),
      AddressError,
    );
    assertEquals(error.code, "ERR_SOCKET_PATH_TOO_LONG");
    // Where no other user can reach it, none is needed.
    await Deno.chmod(deeper, 0o700);
    (await listen({ path: `${deeper}/s`, mode: 0o600 })).close();
    await Deno.remove(directory, { recursive: true });
  },
});

Deno.test({
  name: "listen() on a path goes its own way while another program holds the directory's lock",
  ignore,
  async fn() {
    const directory = await Deno.makeTempDir();
    const lock = await Deno.open(directory);
    await lock.lock(true);
    const path = `${directory}/socket`;
    const listener = await listen({ path, mode: 0o600 });
    assertEquals((await Deno.lstat(path)).mode! & 0o777, 0o600);
    lock.close();
    listener.close();
    assertEquals([...Deno.readDirSync(directory)], []);
    await Deno.remove(directory);
  },
});

const shared = ignore ? "" : await Deno.makeTempDir();
if (!ignore) {
  globalThis.addEventListener("unload", () => Deno.removeSync(shared, { recursive: true }));
}

Deno.test({
  name: "listen() on a path sets its mode where the program may touch that path alone",
  ignore,
  permissions: { read: true, write: [`${shared}/socket`], net: true },
  async fn() {
    const path = `${shared}/socket`;
    for (const mode of [0o600, 0o640]) {
      const listener = await listen({ path, mode });
      assertEquals((await Deno.lstat(path)).mode! & 0o777, mode);
      listener.close();
    }
  },
});
