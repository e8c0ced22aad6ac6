// Tests of listeners behind balancers: the header is read before anything else, on every kind of
// socket, and never elsewhere.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import net from "node:net";
import tls from "node:tls";
import { ClosedError, ProtocolError } from "../../errors.ts";
import { ProxySources } from "../../net/transport/proxy_sources.ts";
import { listen, type ListenOptions, type ListenTarget } from "../../net/listen.ts";
import type { Address, Incoming, Listener, Transport } from "../../net/transport/transport.ts";
import { text, utf8 } from "../support/bytes.ts";
import { sourceOf, testCerts } from "../support/programs/certs.ts";
import { HeaderRelay } from "../support/peers/header_relay.ts";
import { binaryHeader, binaryTcp4, lineTcp4 } from "../support/peers/proxy_headers.ts";
import { connectAndReset } from "../support/peers/resets.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { atRest, settles, until } from "../support/wait.ts";

const unix = Deno.build.os !== "windows";
const never: AbortSignal = new AbortController().signal;
const CLIENT: Address = { transport: "tcp", hostname: "192.0.2.7", port: 40_000 };
const DIALLED: Address = { transport: "tcp", hostname: "198.51.100.1", port: 5555 };

/** One kind of listener. */
interface Kind {
  readonly name: string;
  readonly secure?: boolean | undefined;
  readonly onPath?: boolean | undefined;
  readonly options?: ListenOptions | undefined;
}

const KINDS: readonly Kind[] = [
  { name: "TCP of Deno" },
  { name: "TCP of node", options: { canReset: true } },
  { name: "TLS of node", secure: true },
  ...unix ? [{ name: "a unix socket", onPath: true }] : [],
  ...unix ? [{ name: "TLS over a unix socket", onPath: true, secure: true }] : [],
];

/** A listener that believes this machine, and how to reach it. */
class Bench implements AsyncDisposable {
  readonly listener: Listener;
  readonly #folder: TempDir;
  readonly #secure: boolean;

  private constructor(listener: Listener, folder: TempDir, secure: boolean) {
    this.listener = listener;
    this.#folder = folder;
    this.#secure = secure;
  }

  static async open(
    { secure = false, onPath = false, options = {} }: Kind,
    source = "127.0.0.1",
  ): Promise<Bench> {
    const folder = new TempDir();
    const certs = await testCerts();
    const where = onPath ? { path: `${folder.path}/socket` } : { port: 0 };
    const target: ListenTarget = {
      ...where,
      ...secure && { tls: { credentials: sourceOf(certs.server) } },
    };
    const listed = { sources: [onPath ? "unix" : source] };
    const proxySources = ProxySources.from("Cannot listen", listed, onPath ? "unix" : "tcp");
    return new Bench(await listen(target, { ...options, proxySources }), folder, secure);
  }

  /** A plain socket to it. */
  dial(): net.Socket {
    const { addr } = this.listener;
    const socket = addr.transport === "unix"
      ? net.connect(addr.path)
      : net.connect((addr as Deno.NetAddr).port, "127.0.0.1");
    socket.on("error", () => {});
    return socket;
  }

  /** The socket as a client of the listener uses it. */
  async speak(socket: net.Socket): Promise<net.Socket> {
    if (!this.#secure) return socket;
    const session = tls.connect({
      socket,
      ca: [(await testCerts()).ca.cert],
      servername: "localhost",
    });
    session.on("error", () => {});
    return session;
  }

  async accept(): Promise<Incoming> {
    const incoming = await settles("a connection", this.listener.accept());
    assert(incoming !== null);
    return incoming;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.listener.close();
    await this.#folder[Symbol.asyncDispose]();
  }
}

async function readText(transport: Transport, length: number): Promise<string> {
  let read = "";
  while (read.length < length) {
    const chunk = await settles("bytes", transport.read());
    if (chunk === null) break;
    read += text(chunk);
  }
  return read;
}

/** Waits until the far end has closed or reset the socket. */
function gone(socket: net.Socket): Promise<void> {
  socket.resume();
  return settles(
    "the socket is gone",
    new Promise((resolve) => socket.once("close", () => resolve())),
  );
}

for (const kind of KINDS) {
  Deno.test(`listen() on ${kind.name} tells the client's addresses, and loses none of its bytes, however they come`, async () => {
    await using bench = await Bench.open(kind);
    for (
      const header of [lineTcp4("192.0.2.7", 40_000), binaryTcp4("192.0.2.7", 40_000, [4, 0, 1, 0])]
    ) {
      for (const together of [false, true]) {
        await using relay = await HeaderRelay.open(bench.listener.addr, header, { together });
        const accepting = bench.accept();
        const socket = net.connect(relay.port, "127.0.0.1");
        const client = await bench.speak(socket);
        client.write("hello");
        const incoming = await accepting;
        await settles("the header", incoming.identify!({ signal: never }));
        assertEquals([incoming.remoteAddr, incoming.localAddr], [CLIENT, DIALLED]);
        const transport = await settles("the handshake", incoming.open({ signal: never }));
        assertEquals([transport.remoteAddr, transport.localAddr], [CLIENT, DIALLED]);
        assertEquals(await readText(transport, 5), "hello");
        transport.tune?.({ noDelay: true });
        client.write(" again");
        assertEquals(await readText(transport, 6), " again");
        const answer = new Promise((resolve) =>
          client.once("data", (data) => resolve(String(data)))
        );
        await transport.write(utf8("yes"));
        assertEquals(await settles("the answer", answer), "yes");
        transport.close();
        await gone(client);
        socket.destroy();
      }
    }
  });

  Deno.test(`listen() on ${kind.name} keeps the socket's own addresses for LOCAL and UNKNOWN`, async () => {
    await using bench = await Bench.open(kind);
    for (
      const header of [
        binaryHeader({ versionAndCommand: 0x20, family: 0, body: [] }),
        utf8("PROXY UNKNOWN\r\n"),
      ]
    ) {
      const accepting = bench.accept();
      const socket = bench.dial();
      socket.write(header);
      const incoming = await accepting;
      const { remoteAddr, localAddr } = incoming;
      await settles("the header", incoming.identify!({ signal: never }));
      assertEquals([incoming.remoteAddr, incoming.localAddr], [remoteAddr, localAddr]);
      incoming.refuse();
      await gone(socket);
    }
  });

  Deno.test(`listen() on ${kind.name} reads a header that comes byte by byte`, async () => {
    await using bench = await Bench.open(kind);
    const accepting = bench.accept();
    const socket = bench.dial();
    socket.setNoDelay(true);
    const incoming = await accepting;
    const identifying = incoming.identify!({ signal: never });
    for (const byte of lineTcp4("192.0.2.7", 40_000)) {
      await new Promise((resolve) =>
        socket.write(new Uint8Array([byte]), () => resolve(undefined))
      );
    }
    await settles("the header", identifying);
    assertEquals(incoming.remoteAddr, CLIENT);
    incoming.refuse();
    await gone(socket);
  });

  Deno.test(`listen() on ${kind.name} refuses a listed source without a header, and one that leaves within it`, async () => {
    await using bench = await Bench.open(kind);
    for (
      const [sent, what] of [["GET / HTTP/1.1\r\n", "an HTTP request"], [
        "PROXY TCP4 192.",
        "ended within",
      ]] as const
    ) {
      const accepting = bench.accept();
      const socket = bench.dial();
      socket.end(sent);
      const incoming = await accepting;
      const error = await assertRejects(
        () => settles("the refusal", incoming.identify!({ signal: never })),
        ProtocolError,
        what,
      );
      assertEquals(error.code, "ERR_PROXY_HEADER");
      await gone(socket);
    }
  });

  Deno.test(`listen() on ${kind.name} takes no offence at a listed source that leaves without a byte`, async () => {
    await using bench = await Bench.open(kind);
    const accepting = bench.accept();
    const socket = bench.dial();
    socket.once("connect", () => socket.end());
    const incoming = await accepting;
    const error = await assertRejects(
      () => settles("the end", incoming.identify!({ signal: never })),
      ClosedError,
    );
    assertEquals(error.code, "ERR_RESET");
    await gone(socket);
  });

  Deno.test(`listen() on ${kind.name} frees the socket when the wait for a header is aborted`, async () => {
    await using bench = await Bench.open(kind);
    const accepting = bench.accept();
    const socket = bench.dial();
    socket.write("PROXY ");
    const incoming = await accepting;
    const limit = new AbortController();
    const reason = new Error("late");
    const identifying = incoming.identify!({ signal: limit.signal });
    limit.abort(reason);
    assertStrictEquals(await identifying.catch((error) => error), reason);
    await gone(socket);
  });

  Deno.test(`listen() on ${kind.name} reads the header before it opens, if nothing else did`, async () => {
    await using bench = await Bench.open(kind);
    const accepting = bench.accept();
    const socket = bench.dial();
    socket.write(lineTcp4("192.0.2.7", 40_000));
    const client = await bench.speak(socket);
    client.write("x");
    const transport = await settles("the handshake", (await accepting).open({ signal: never }));
    assertEquals(transport.remoteAddr, CLIENT);
    transport.close();
    socket.destroy();
  });
}

Deno.test("listen() looks for no header in what comes from a source that is not listed", async () => {
  for (const kind of KINDS.filter(({ onPath, secure }) => onPath !== true && secure !== true)) {
    await using bench = await Bench.open(kind, "192.0.2.0/24");
    const accepting = bench.accept();
    const socket = bench.dial();
    socket.write(lineTcp4("192.0.2.7", 40_000));
    const incoming = await accepting;
    assertEquals(incoming.identify, undefined);
    const transport = await incoming.open({ signal: never });
    assertEquals(transport.remoteAddr, incoming.remoteAddr);
    assertEquals(await readText(transport, 10), text(lineTcp4("192.0.2.7", 40_000)));
    transport.close();
    await gone(socket);
  }
});

Deno.test({
  name: "listen() passes over a connection of a listed source that was reset before its header",
  ignore: Deno.build.os !== "linux",
  async fn() {
    for (const kind of KINDS.filter(({ onPath }) => onPath !== true)) {
      await using bench = await Bench.open(kind);
      const accepting = bench.accept();
      await connectAndReset({ port: (bench.listener.addr as Deno.NetAddr).port }, 1);
      const socket = bench.dial();
      socket.write(lineTcp4("192.0.2.7", 40_000));
      for (let incoming = await accepting;; incoming = await bench.accept()) {
        const failure = await settles(
          "the header",
          incoming.identify!({ signal: never }).catch((error) => error),
        );
        if (failure === undefined) {
          assertEquals(incoming.remoteAddr, CLIENT);
          incoming.refuse();
          break;
        }
        assertEquals(failure.code, "ERR_RESET");
      }
      await gone(socket);
    }
  },
});

Deno.test("listen() refuses to look for headers with native TLS", async () => {
  const certs = await testCerts();
  const proxySources = ProxySources.from("Cannot listen", { sources: ["127.0.0.1"] }, "tcp");
  await assertRejects(
    () =>
      listen({ port: 0, tls: { credentials: sourceOf(certs.server), backend: "deno" } }, {
        proxySources,
      }),
    TypeError,
    "cannot read a header before its handshake",
  );
});

Deno.test("listen() by node keeps no more than maxWaiting sockets that are not accepted, and refuses the rest", async () => {
  const listener = await listen({ port: 0 }, { canReset: true, maxWaiting: 4 });
  try {
    const { port } = listener.addr as Deno.NetAddr;
    let refused = 0;
    const ended = Array.from({ length: 10 }, () => {
      const socket = net.connect(port, "127.0.0.1");
      socket.on("error", () => {});
      return gone(socket).then(() => void refused++);
    });
    await until("what is over the limit is refused", () => refused >= 6);
    assertEquals(await atRest(() => refused), 6);
    for (let taken = 0; taken < 4; taken++) {
      (await settles("one that waits", listener.accept()))!.refuse();
    }
    await Promise.all(ended);
    // There is room again.
    const next = net.connect(port, "127.0.0.1");
    next.on("error", () => {});
    (await settles("the next", listener.accept()))!.refuse();
    await gone(next);
  } finally {
    listener.close();
  }
});
