// Tests of accept(): what is the fault of one connection is passed over, what is the fault of the
// process is reported.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { dial } from "../../net/dial.ts";
import { listen, type ListenTarget } from "../../net/listen.ts";
import { DenoListener } from "../../net/socket/socket_listener.ts";
import type { Address, Listener, Transport } from "../../net/transport/transport.ts";
import type { ResolvedClientTls, TlsBackend } from "../../tls/handshake/options.ts";
import { clientTls, sourceOf, testCerts } from "../support/programs/certs.ts";
import { connectAndReset, resetBeforeAccept } from "../support/peers/resets.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles } from "../support/wait.ts";

const linux = Deno.build.os === "linux";
const never: AbortSignal = new AbortController().signal;
const ADDRESS: Address = { transport: "tcp", hostname: "127.0.0.1", port: 1 };

/** A connection of a platform that only shows whether it was closed. */
interface FakeConn {
  readonly remoteAddr?: Address | undefined;
  closed: boolean;
  read(): Promise<null>;
  close(): void;
}

function fakeConn(remoteAddr?: Address): FakeConn {
  return {
    remoteAddr,
    closed: false,
    read: () => Promise.resolve(null),
    close() {
      this.closed = true;
    },
  };
}

/** An error as the platform makes it. */
function platformError(code: string): Error {
  return Object.assign(new Error(`${code} (os error)`), { code });
}

/** A listener of ours over a platform whose `accept` does what `next` does. */
function listenerOver(next: () => FakeConn | Promise<FakeConn>): DenoListener<FakeConn> {
  const platform = { accept: async () => await next(), close() {}, ref() {}, unref() {} };
  return new DenoListener(platform, {
    addr: ADDRESS,
    describe({ remoteAddr }) {
      if (remoteAddr === undefined) throw platformError("ENOTCONN");
      return { localAddr: ADDRESS, remoteAddr };
    },
    open: () => Promise.reject(new Error("Not wanted")),
  });
}

/** A listener over a platform that does these things one after the other. */
function listenerOf(steps: readonly (FakeConn | Error)[]): DenoListener<FakeConn> {
  const left = [...steps];
  return listenerOver(() => {
    const step = left.shift();
    if (step === undefined) throw new Error("Accepted once too often");
    if (step instanceof Error) throw step;
    return step;
  });
}

for (
  const code of [
    "ECONNABORTED",
    "ECONNRESET",
    "ENOTCONN",
    "EPROTO",
    "EHOSTUNREACH",
    "ENETDOWN",
    "ETIMEDOUT",
  ]
) {
  Deno.test(`Listener.accept() passes over connections that failed with ${code}`, async () => {
    const listener = listenerOf([
      ...Array.from({ length: 5 }, () => platformError(code)),
      fakeConn(ADDRESS),
    ]);
    assertEquals((await listener.accept())?.remoteAddr, ADDRESS);
    listener.close();
  });
}

Deno.test("Listener.accept() knows faults of one connection by the platform's classes as well", async () => {
  const { NotConnected, ConnectionReset, ConnectionAborted } = Deno.errors;
  const errors = [NotConnected, ConnectionReset, ConnectionAborted].map((Kind) => new Kind("gone"));
  const listener = listenerOf([...errors, fakeConn(ADDRESS)]);
  assertEquals((await listener.accept())?.remoteAddr, ADDRESS);
  listener.close();
});

for (const code of ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ESOMETHING"]) {
  Deno.test(`Listener.accept() rejects with ${code}, and the next call goes on`, async () => {
    const error = platformError(code);
    const listener = listenerOf([platformError("ENOTCONN"), error, error, fakeConn(ADDRESS)]);
    assertStrictEquals(await assertRejects(() => listener.accept()), error);
    assertStrictEquals(await assertRejects(() => listener.accept()), error);
    assertEquals((await listener.accept())?.remoteAddr, ADDRESS);
    listener.close();
  });
}

Deno.test("Listener.accept() closes a connection whose addresses cannot be told, and goes on", async () => {
  const gone = [fakeConn(), fakeConn()];
  const listener = listenerOf([...gone, fakeConn(ADDRESS)]);
  assertEquals((await listener.accept())?.remoteAddr, ADDRESS);
  assertEquals(gone.map(({ closed }) => closed), [true, true]);
  listener.close();
});

Deno.test("Listener.accept() lets others have their turn among connections that are gone without end", async () => {
  let faults = 0;
  let hadTurn = false;
  const listener = listenerOver(() => {
    if (hadTurn || ++faults > 100_000) return fakeConn(ADDRESS);
    throw platformError("ENOTCONN");
  });
  const timer = setTimeout(() => hadTurn = true, 0);
  await listener.accept();
  clearTimeout(timer);
  assert(faults < 1000, `${faults} faults before a timer of 0 ms`);
  listener.close();
});

Deno.test("Listener.close() ends an accept() that has met nothing but connections that are gone", async () => {
  let faults = 0;
  const { promise: many, resolve } = Promise.withResolvers<void>();
  const listener = listenerOver(() => {
    if (++faults === 64) resolve();
    throw platformError("ECONNABORTED");
  });
  const accepting = listener.accept();
  await many;
  listener.close();
  assertEquals(await settles("accept()", accepting), null);
  assertEquals(await listener.accept(), null);
});

/** A listener and a client that fits. */
interface Kind {
  readonly name: string;
  readonly listenTo: ListenTarget;
  readonly tls?: ResolvedClientTls | undefined;
}

async function kinds(path: string): Promise<Kind[]> {
  const certs = await testCerts();
  const withTls = (backend: TlsBackend): Kind => ({
    name: `TLS by ${backend}`,
    listenTo: { port: 0, tls: { credentials: sourceOf(certs.server), backend } },
    tls: clientTls(certs, { backend }),
  });
  return [
    { name: "TCP", listenTo: { port: 0 } },
    { name: "unix", listenTo: { path } },
    withTls("deno"),
    withTls("node"),
  ];
}

/** What `accept` returns until a connection comes that can be opened; fails when it rejects. */
async function acceptGood(listener: Listener): Promise<Transport> {
  for (;;) {
    const incoming = await listener.accept();
    assert(incoming !== null, "The listener was closed");
    // One that was reset may be accepted where the platform reports no fault; its handshake fails.
    const transport = await incoming.open({ signal: never }).catch(() => null);
    if (transport === null) continue;
    if (await transport.read().catch(() => null) !== null) return transport;
    transport.close();
  }
}

Deno.test({
  name:
    "Listener.accept() of every kind goes on at once after connections that were reset before it",
  ignore: !linux,
  async fn() {
    await using directory = new TempDir();
    for (const { name, listenTo, tls } of await kinds(`${directory.path}/s.sock`)) {
      const listener = await listen(listenTo);
      const { addr } = listener;
      if (addr.transport === "unix") await connectAndReset({ path: addr.path }, 20);
      else if (addr.transport === "tcp") await connectAndReset({ port: addr.port }, 20);
      const accepting = acceptGood(listener);
      const near = await dial(
        addr.transport === "unix"
          ? { path: addr.path, tls }
          : { hostname: "localhost", port: addr.transport === "tcp" ? addr.port : 0, tls },
        { signal: never },
      );
      await near.write(new Uint8Array(1));
      const far = await settles(name, accepting);
      near.close();
      far.close();
      listener.close();
    }
  },
});

Deno.test({
  name:
    "Listener.accept() by node passes over connections that were reset before the platform took them",
  ignore: !linux,
  async fn() {
    const certs = await testCerts();
    const listener = await listen({
      port: 0,
      tls: { credentials: sourceOf(certs.server), backend: "node" },
    });
    assert(listener.addr.transport === "tcp");
    const { port } = listener.addr;
    resetBeforeAccept(port, 20);
    const client = await Deno.connect({ hostname: "127.0.0.1", port });
    const incoming = await settles("accept()", listener.accept());
    assertEquals(incoming?.remoteAddr, {
      transport: "tcp",
      hostname: "127.0.0.1",
      port: client.localAddr.port,
    });
    incoming?.refuse();
    client.close();
    listener.close();
  },
});
