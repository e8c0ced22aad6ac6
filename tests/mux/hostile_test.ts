// A scripted hostile peer over a raw socket: go-away 1, memory and descriptors back, and others served meanwhile.
import { assert, assertEquals } from "@std/assert";
import { MuxMemory, MuxSession } from "@parley/parley/mux";
import { dial } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";
import type { Listener, Transport } from "../../net/transport.ts";
import { frame, RawPeer } from "../support/raw_mux.ts";
import { openDescriptors, settles, until } from "../support/wait.ts";

const DATA = 0, UPDATE = 1, PING = 2, GO_AWAY = 3;
const SYN = 1, ACK = 2, FIN = 4, RST = 8;
const WINDOW = 256 * 1024;

const bytes = (...values: number[]) => new Uint8Array(values);
const many = (count: number, make: (index: number) => Uint8Array) =>
  Array.from({ length: count }, (_, i) => make(i));
const syn = (id: number) => frame(UPDATE, SYN, id, 0);

/** What the peer sends, and the code of the error that ends the session; every one is told go-away 1. */
const ATTACKS: readonly [name: string, parts: Uint8Array[], code: string][] = [
  ["a wrong version", [bytes(1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)], "ERR_MUX_VERSION"],
  ["an unknown type", [bytes(0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)], "ERR_MUX_TYPE"],
  ["unknown flags", [bytes(0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0)], "ERR_MUX_FLAGS"],
  ["a stream of our parity", [syn(2)], "ERR_MUX_STREAM_ID"],
  ["a stream id used again", [syn(1), syn(1)], "ERR_MUX_STREAM_ID"],
  ["a stream id that goes back", [syn(5), syn(3)], "ERR_MUX_STREAM_ID"],
  ["data for a stream that never was", [frame(DATA, 0, 7, 1)], "ERR_MUX_STREAM_ID"],
  ["data on stream 0", [frame(DATA, 0, 0, 1)], "ERR_MUX_STREAM_ID"],
  ["data over the window, in one header", [syn(1), frame(DATA, 0, 1, WINDOW + 1, bytes())], "ERR_MUX_WINDOW"],
  ["SYN with oversized data (CVE-2026-32314)", [frame(DATA, SYN, 1, 2 ** 31, bytes())], "ERR_MUX_WINDOW"],
  [
    "data over the window, in two frames",
    [syn(1), frame(DATA, 0, 1, WINDOW), frame(DATA, 0, 1, 1)],
    "ERR_MUX_WINDOW",
  ],
  ["a window over 2^32 (CVE-2026-31814)", [syn(1), frame(UPDATE, 0, 1, 2 ** 32 - 1)], "ERR_MUX_WINDOW"],
  ["a flood of pings", many(300, (index) => frame(PING, SYN, 0, index)), "ERR_MUX_FLOOD"],
  ["a flood of empty frames", [syn(1), ...many(300, () => frame(DATA, 0, 1, 0))], "ERR_MUX_FLOOD"],
  [
    "streams opened and reset without end",
    many(100_000, (index) => {
      return index % 2 === 0 ? syn(index + 1) : frame(UPDATE, RST, index, 0);
    }),
    "ERR_MUX_FLOOD",
  ],
  ["streams opened without end", many(100_000, (index) => syn(2 * index + 1)), "ERR_MUX_FLOOD"],
  ["frames for a stream that is gone", [
    frame(DATA, SYN | FIN, 1, 0),
    frame(UPDATE, RST, 1, 0),
    ...many(3000, () => frame(UPDATE, 0, 1, 1)),
  ], "ERR_MUX_FLOOD"],
];

/** A server of sessions over TCP, which never accept a stream of a hostile peer. */
class MuxServer implements AsyncDisposable {
  readonly memory = new MuxMemory();
  readonly sessions: MuxSession[] = [];
  readonly #listener: Listener;
  readonly #accepting: Promise<void>;

  constructor(listener: Listener) {
    this.#listener = listener;
    this.#accepting = this.#accept();
  }

  static async start(): Promise<MuxServer> {
    return new MuxServer(await listen({ port: 0 }));
  }

  /** A connection to it, and the session on its other side. */
  async connect(): Promise<[Transport, MuxSession]> {
    const port = this.#listener.addr.transport === "tcp" ? this.#listener.addr.port : 0;
    const count = this.sessions.length;
    const transport = await dial({ port }, { signal: new AbortController().signal });
    await until("the session begins", () => this.sessions.length > count);
    return [transport, this.sessions[count] as MuxSession];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const session of this.sessions) session.abort();
    await Promise.all(this.sessions.map((session) => session.closed));
  }

  async #accept(): Promise<void> {
    const { signal } = new AbortController();
    for (let next = await this.#listener.accept(); next !== null; next = await this.#listener.accept()) {
      const transport = await next.open({ signal });
      this.sessions.push(new MuxSession(transport, { role: "server", memory: this.memory, keepAliveMs: 0 }));
    }
  }
}

for (const [name, parts, code] of ATTACKS) {
  Deno.test(`MuxSession answers ${name} with go-away 1, and others are served meanwhile`, async () => {
    await using server = await MuxServer.start();
    const [goodTransport, good] = await server.connect();
    const client = new MuxSession(goodTransport, { role: "client", keepAliveMs: 0 });
    await client.ping();
    const before = openDescriptors();

    const [transport, session] = await server.connect();
    const peer = new RawPeer(transport);
    const goAway = peer.goAwayCode();
    const sending = peer.send(...parts).catch(() => {});
    const pings: number[] = [];
    let told = false;
    void goAway.then(() => told = true);
    // Fewer than a flood of our own.
    do pings.push(await client.ping({ timeoutMs: 1000 })); while (!told && pings.length < 90);
    await settles("the error", until("the session is over", () => session.state === "ended"));
    assertEquals(await settles("go-away", goAway), 1);
    transport.close();
    assertEquals((await settles("the end", session.closed))?.code, code);
    await sending;
    assert(Math.max(...pings) < 50, `a ping took ${Math.max(...pings)} ms`);
    await until("the descriptors are back", () => openDescriptors() <= before);
    assertEquals([server.memory.usedBytes, server.memory.grownBytes, good.state], [0, 0, "open"]);
    client.abort();
    await client.closed;
  });
}

Deno.test("MuxSession with a peer that never gives credit stalls that stream only", async () => {
  await using server = await MuxServer.start();
  const [transport, session] = await server.connect();
  const peer = new RawPeer(transport);
  await peer.send(syn(1), syn(3));
  const [stalled, other] = [await session.acceptStream(), await session.acceptStream()];
  let sent = 0;
  const sending = (async () => {
    for (;; sent += 65_536) await stalled?.write(new Uint8Array(65_536));
  })().catch(() => {});
  let got = 0;
  while (got < WINDOW) {
    const next = await peer.find(({ type, streamId }) => type === DATA && streamId === 1);
    got += next?.length ?? WINDOW + 1;
  }
  await other?.write(bytes(1, 2, 3));
  const next = await peer.find(({ type }) => type === DATA);
  assertEquals([next?.streamId, next?.length], [3, 3]);
  assert(sent <= WINDOW + 65_536, `${sent} bytes were taken`);
  session.abort();
  await settles("the write", sending, 1000);
  transport.close();
});

Deno.test("MuxSession.closed and all that waits settle within a second of a lost connection", async () => {
  await using server = await MuxServer.start();
  const [transport, session] = await server.connect();
  const peer = new RawPeer(transport);
  await peer.send(syn(1), frame(UPDATE, ACK, 2, 0).subarray(0, 0));
  const stream = await session.acceptStream();
  const waits = [
    stream?.read(),
    stream?.write(new Uint8Array(WINDOW * 2)),
    session.acceptStream().then((next) => next === null ? Promise.reject(new Error("over")) : next),
    session.ping(),
  ];
  transport.close();
  const results = await settles("all that waits", Promise.allSettled(waits), 1000);
  assertEquals(results.map(({ status }) => status), Array(4).fill("rejected"));
  assertEquals((await settles("the end", session.closed, 1000))?.code, "ERR_RESET");
});

Deno.test("MuxSession takes a go-away of the peer as the end of new streams only", async () => {
  await using server = await MuxServer.start();
  const [transport, session] = await server.connect();
  await new RawPeer(transport).send(syn(1), frame(GO_AWAY, 0, 0, 0));
  await until("it has come", () => session.state === "goAwayReceived");
  transport.close();
});
