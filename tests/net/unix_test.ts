// Unix sockets: stale ones taken over, live ones never; modes, lengths and successors.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { AddressError } from "../../errors.ts";
import { dial } from "../../net/dial.ts";
import { listen, type ListenTls } from "../../net/listen.ts";
import type { Listener } from "../../net/transport.ts";
import { clientTls, sourceOf, testCerts } from "../support/certs.ts";

const ignore = Deno.build.os === "windows";
const never: AbortSignal = new AbortController().signal;

/** Runs a test over plain sockets, and over TLS, whose listener is another. */
function test(name: string, body: (directory: string, tls: ListenTls | undefined) => Promise<void>): void {
  for (const kind of ["plain", "TLS"]) {
    Deno.test({
      name: `${name} (${kind})`,
      ignore,
      fn: async () => {
        const directory = await Deno.makeTempDir();
        try {
          const tls = kind === "plain" ? undefined : { credentials: sourceOf((await testCerts()).server) };
          await body(directory, tls);
        } finally {
          await Deno.remove(directory, { recursive: true });
        }
      },
    });
  }
}

async function assertServes(listener: Listener, path: string, tls: ListenTls | undefined): Promise<void> {
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

test("listen() on a path where somebody listens fails with ERR_ADDRESS_IN_USE", async (directory, tls) => {
  const path = `${directory}/socket`;
  const listener = await listen({ path, tls });
  const error = await assertRejects(() => listen({ path, tls }), AddressError);
  assertEquals(error.code, "ERR_ADDRESS_IN_USE");
  // The other's look at it counts as a connection.
  (await listener.accept())!.refuse();
  await assertServes(listener, path, tls);
  assertEquals([...Deno.readDirSync(directory)].map(({ name }) => name), ["socket"]);
  listener.close();
});

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
    if (one.status === "rejected") assertEquals((one.reason as AddressError).code, "ERR_ADDRESS_IN_USE");
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

test("dial() on a path without a listener fails with ERR_CONNECT_REFUSED", async (directory, tls) => {
  const path = `${directory}/socket`;
  const client = tls && clientTls(await testCerts());
  for (const prepare of [() => Promise.resolve(), () => makeStale(path)]) {
    await prepare();
    const error = await assertRejects(() => dial({ path, tls: client }, { signal: never }), AddressError);
    assertEquals(error.code, "ERR_CONNECT_REFUSED");
  }
});

test("listen() in a directory that is not there fails with ERR_ADDRESS_INVALID", async (directory, tls) => {
  const error = await assertRejects(() => listen({ path: `${directory}/no/socket`, tls }), AddressError);
  assertEquals(error.code, "ERR_ADDRESS_INVALID");
});
