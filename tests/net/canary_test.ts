// Canaries: how Deno behaves where net/ builds on it. When one of these fails, the platform has
// changed: read what stands beside it, and docs/decisions/0010-tls-backend.md, before anything else
// is changed.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { testCerts } from "../support/programs/certs.ts";
import { CutProxy } from "../support/peers/cut_proxy.ts";
import { atRest, openDescriptors, settles, until } from "../support/wait.ts";

const linux = Deno.build.os === "linux";
const unix = Deno.build.os !== "windows";

Deno.test("Deno.TlsConn has no way to set no-delay, which is why servers use node:tls", async () => {
  await withNative((near, far) => {
    assert(!("setNoDelay" in near) && !("setNoDelay" in far));
    return Promise.resolve();
  });
});

Deno.test({
  name: "Deno.TlsConn.close() before its handshake leaves the descriptor to the client",
  ignore: !linux,
  fn: async () => {
    const { cert, key } = (await testCerts()).server;
    const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
    const client = await Deno.connect({
      hostname: "127.0.0.1",
      port: (listener.addr as Deno.NetAddr).port,
    });
    const conn = await listener.accept();
    const before = await atRest(openDescriptors);
    conn.close();
    assertEquals(await atRest(openDescriptors), before);
    client.close();
    await until("the client's leaving frees it", () => openDescriptors() <= before - 2);
    listener.close();
  },
});

Deno.test("Deno.TlsConn tells a missing end of the session from an orderly one", async () => {
  const { cert, key } = (await testCerts()).server;
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const proxy = await CutProxy.open((listener.addr as Deno.NetAddr).port);
  const client = await Deno.connectTls({
    hostname: "localhost",
    port: proxy.port,
    caCerts: [(await testCerts()).ca.cert],
  });
  const [conn] = await Promise.all([listener.accept(), client.handshake()]);
  await conn.handshake();
  proxy.fin();
  await assertRejects(() => conn.read(new Uint8Array(1)), Deno.errors.UnexpectedEof);
  conn.close();
  client.close();
  listener.close();
  await proxy.close();
});

Deno.test("Deno.Conn.close() ends a read under way with Interrupted, and use after it with BadResource", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const near = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const far = await listener.accept();
  const reading = near.read(new Uint8Array(1));
  near.close();
  await assertRejects(() => reading, Deno.errors.Interrupted);
  await assertRejects(() => near.read(new Uint8Array(1)), Deno.errors.BadResource);
  far.close();
  listener.close();
});

Deno.test({
  name: "Deno.listen() on a stale path says AddrInUse, and connecting there ConnectionRefused",
  ignore: !unix,
  fn: async () => {
    const directory = await Deno.makeTempDir();
    const path = `${directory}/socket`;
    const gone = Deno.listen({ transport: "unix", path: `${path}.was` });
    await Deno.rename(`${path}.was`, path);
    gone.close();
    assertThrows(() => Deno.listen({ transport: "unix", path }), Deno.errors.AddrInUse);
    await assertRejects(
      () => Deno.connect({ transport: "unix", path }),
      Deno.errors.ConnectionRefused,
    );
    await Deno.remove(directory, { recursive: true });
  },
});

Deno.test({
  name:
    "Deno.UnixListener.close() removes whatever has its path, which is why ours bind a name of their own",
  ignore: !unix,
  fn: async () => {
    const directory = await Deno.makeTempDir();
    const path = `${directory}/socket`;
    const first = Deno.listen({ transport: "unix", path });
    await Deno.writeTextFile(`${path}.next`, "a successor's");
    await Deno.rename(`${path}.next`, path);
    first.close();
    await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
    await Deno.remove(directory, { recursive: true });
  },
});

Deno.test("net.Socket.resetAndDestroy() resets where Deno.TcpConn.close() ends in order, which is why tunnels use node:net", async () => {
  for (const resets of [true, false]) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepting = listener.accept();
    let end = () => {};
    if (resets) {
      const socket = net.connect(listener.addr.port, "127.0.0.1");
      await once(socket, "connect");
      end = () => void socket.resetAndDestroy();
    } else {
      const conn = await Deno.connect({ port: listener.addr.port });
      assert(!("setLinger" in conn) && !("reset" in conn));
      end = () => conn.close();
    }
    using far = await accepting;
    const reading = far.read(new Uint8Array(1)).catch((error) => error.constructor);
    end();
    assertEquals(await reading, resets ? Deno.errors.ConnectionReset : null);
    listener.close();
  }
});

Deno.test("net.Socket breaks a write that waits when its peer has ended without a word, which is why NodeLink holds", async () => {
  for (const word of [false, true]) {
    const server = net.createServer({ allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepting = once(server, "connection");
    using near = await Deno.connect({ port: (server.address() as net.AddressInfo).port });
    const [far] = await accepting as [net.Socket];
    const failed = Promise.withResolvers<string>();
    far.on("error", (error) => failed.resolve("code" in error ? String(error.code) : ""));
    far.resume();
    const ended = once(far, "end");
    if (word) await near.write(new Uint8Array(1));
    await near.closeWrite();
    await ended;
    let written = 0;
    const next = (): void =>
      void far.write(new Uint8Array(65536), (error) => error || (written++, next()));
    next();
    await atRest(() => written, 150);
    if (!word) assertEquals(await settles("the failure", failed.promise), "EPIPE");
    assertEquals(far.destroyed, !word);
    far.destroy();
    server.close();
  }
});

Deno.test("tls.TLSSocket.pause() does not stop the reading, which is why NodeLink does", async () => {
  await withNode(async (session) => {
    const { far, raw } = session;
    far.pause();
    await writeUntilStuck(session, 16 << 20, (written) => assertEquals(written, 16 << 20));
    assert(
      typeof handleOf(raw).readStop === "function" && typeof handleOf(raw).readStart === "function",
    );
  });
});

Deno.test("net.Socket's handle stops reading when it is told to", async () => {
  await withNode(async (session) => {
    handleOf(session.raw).readStop();
    await writeUntilStuck(
      session,
      64 << 20,
      (written) => assert(written < 24 << 20, `${written} were taken`),
    );
  });
});

Deno.test("tls.TLSSocket takes the end of the socket for the end of the session, which is why NodeLink watches it", async () => {
  const proxies: CutProxy[] = [];
  await withNode(async ({ far }) => {
    far.resume();
    const ended = once(far, "end");
    proxies[0]!.fin();
    await settles("end", ended);
  }, async (port) => {
    proxies.push(await CutProxy.open(port));
    return proxies[0]!.port;
  });
  await proxies[0]!.close();
});

Deno.test("tls.TLSSocket delivers by push, and calls the socket's onread without bytes at its end", async () => {
  const proxies: CutProxy[] = [];
  await withNode(async ({ near, far, raw }) => {
    const seen: string[] = [];
    const handle = handleOf(raw);
    const feed = handle.onread;
    handle.onread = (...args: unknown[]) => {
      seen.push(args[0] === undefined ? "end of socket" : "bytes of socket");
      return feed.apply(handle, args);
    };
    handle.readStop();
    handle.readStart();
    const { promise, resolve } = Promise.withResolvers<void>();
    far.push = (chunk: Uint8Array | null) => {
      seen.push(chunk === null ? "end" : `${chunk.length} bytes`);
      if (chunk === null) resolve();
      else proxies[0]!.fin();
      return true;
    };
    near.write(Buffer.from("abc"));
    await settles("end", promise);
    assertEquals(seen, ["bytes of socket", "3 bytes", "end of socket", "end"]);
    assert((far as unknown as { _parent: unknown })._parent === raw);
  }, async (port) => {
    proxies.push(await CutProxy.open(port));
    return proxies[0]!.port;
  });
  await proxies[0]!.close();
});

Deno.test("tls.Server takes a handshakeTimeout below zero as none", async () => {
  const { cert, key } = (await testCerts()).server;
  // A positive one keeps its timer, and with it the connection's memory, when the connection ends before it.
  tls.createServer({ cert, key, handshakeTimeout: -1 });
});

interface NodeSession {
  /** The client's end. */
  readonly near: tls.TLSSocket;
  /** The server's end. */
  readonly far: tls.TLSSocket;
  /** The socket under the server's end. */
  readonly raw: net.Socket;
}

/** A session of node:tls, through whatever `via` puts before the server. */
async function withNode(
  body: (session: NodeSession) => Promise<void>,
  via: (port: number) => Promise<number> = (port) => Promise.resolve(port),
): Promise<void> {
  const certs = await testCerts();
  const { cert, key } = certs.server;
  const sessions = tls.createServer({ cert, key, handshakeTimeout: -1 });
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection").then(([raw]) => {
    sessions.emit("connection", raw);
    return raw as net.Socket;
  });
  const secured = once(sessions, "secureConnection");
  const port = await via((server.address() as net.AddressInfo).port);
  const near = tls.connect({
    host: "127.0.0.1",
    port,
    servername: "localhost",
    ca: [certs.ca.cert],
  });
  const [raw, [far]] = await Promise.all([accepted, secured, once(near, "secureConnect")]);
  for (const socket of [near, far, raw]) socket.on("error", () => {});
  try {
    await body({ near, far, raw });
  } finally {
    const closed = [server, near, raw].filter((one) => !("closed" in one && one.closed)).map((
      one,
    ) => once(one, "close"));
    near.destroy();
    far.destroy();
    server.close();
    await Promise.all(closed);
  }
}

/** Writes at the near end until nothing more is taken or all is written. */
async function writeUntilStuck(
  { near }: NodeSession,
  limit: number,
  check: (written: number) => void,
): Promise<void> {
  const block = new Uint8Array(65536);
  let written = 0;
  const next = (): void => {
    if (written >= limit || near.destroyed) return;
    near.write(block, (error) => {
      if (error) return;
      written += block.length;
      next();
    });
  };
  next();
  await atRest(() => written, 150);
  check(written);
}

async function withNative(
  body: (near: Deno.TlsConn, far: Deno.TlsConn) => Promise<void>,
): Promise<void> {
  const certs = await testCerts();
  const { cert, key } = certs.server;
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const { port } = listener.addr as Deno.NetAddr;
  const near = await Deno.connectTls({ hostname: "localhost", port, caCerts: [certs.ca.cert] });
  const far = await listener.accept();
  await Promise.all([near.handshake(), far.handshake()]);
  await body(near, far);
  near.close();
  far.close();
  listener.close();
}

interface Handle {
  onread: (...args: unknown[]) => unknown;
  readStart(): number;
  readStop(): number;
}

function handleOf(socket: net.Socket): Handle {
  return (socket as unknown as { _handle: Handle })._handle;
}

Deno.test("No TLS client of Deno resumes a session, whether it passes one or not", async () => {
  const certs = await testCerts();
  const { cert, key } = certs.server;
  const reused: boolean[] = [];
  const server = tls.createServer({ cert, key }, (session) => {
    reused.push(session.isSessionReused());
    session.on("error", () => {});
    session.end("x");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const caCerts = [certs.ca.cert];
  const drop = async (conn: Deno.TlsConn) => {
    while (await conn.read(new Uint8Array(64)) !== null);
    conn.close();
  };
  // One context, one name and port, and the sessions that came: all that could be had in common.
  const secureContext = tls.createSecureContext({ ca: caCerts });
  let saved: Buffer | undefined;
  for (let count = 0; count < 2; count++) {
    await drop(await Deno.connectTls({ hostname: "localhost", port, caCerts }));
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
    await drop(await Deno.startTls(tcp, { hostname: "localhost", caCerts }));
    const client = tls.connect({
      port,
      host: "127.0.0.1",
      servername: "localhost",
      secureContext,
      ...saved !== undefined && { session: saved },
    });
    client.on("session", (session) => saved = session);
    client.on("error", () => {});
    client.resume();
    await settles("the client's end", once(client, "close"));
  }
  server.close();
  assert(saved !== undefined);
  assertEquals(reused, new Array(6).fill(false));
});
