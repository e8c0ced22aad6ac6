// A scripted hostile peer over a raw socket, row by row of the limits of the mux, while others are served.
import { assert, assertEquals } from "@std/assert";
import { MuxMemory } from "@parley/parley/mux";
import { besideOthers, MuxServer } from "../support/peers/mux_server.ts";
import { frame } from "../support/peers/raw_mux.ts";
import { settles, until } from "../support/wait.ts";

const DATA = 0, UPDATE = 1, PING = 2, GO_AWAY = 3;
const SYN = 1, ACK = 2, FIN = 4, RST = 8;
const WINDOW = 256 * 1024;

const bytes = (...values: number[]) => new Uint8Array(values);
const header = (type: number, flags: number, id: number, length: number) =>
  frame(type, flags, id, length, bytes());
const many = (count: number, make: (index: number) => Uint8Array) =>
  Array.from({ length: count }, (_, i) => make(i));
const syn = (id: number) => frame(UPDATE, SYN, id, 0);

/** What the peer sends, and the code of the error that ends the session; every peer gets go-away 1. */
const ATTACKS: readonly [name: string, parts: Uint8Array[], code: string][] = [
  // Frames that are none.
  ["a wrong version", [bytes(1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)], "ERR_MUX_VERSION"],
  ["an unknown type", [bytes(0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)], "ERR_MUX_TYPE"],
  ["unknown flags", [bytes(0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0)], "ERR_MUX_FLAGS"],
  ["SYN and ACK at once", [header(UPDATE, SYN | ACK, 1, 0)], "ERR_MUX_FLAGS"],
  ["a ping that neither asks nor answers", [header(PING, 0, 0, 1)], "ERR_MUX_FLAGS"],
  ["a go-away with flags", [header(GO_AWAY, SYN, 0, 0)], "ERR_MUX_FLAGS"],
  ["a ping of a stream", [header(PING, SYN, 1, 1)], "ERR_MUX_STREAM_ID"],
  [
    "a request in HTTP/1.1",
    [new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")],
    "ERR_MUX_VERSION",
  ],
  // Ids.
  ["a stream of our parity", [syn(2)], "ERR_MUX_STREAM_ID"],
  ["a stream id used again", [syn(1), syn(1)], "ERR_MUX_STREAM_ID"],
  [
    "a stream id used again after its end",
    [syn(1), header(UPDATE, RST, 1, 0), syn(1)],
    "ERR_MUX_STREAM_ID",
  ],
  [
    "a stream id that was taken out of order and comes again",
    [syn(5), syn(3), syn(3)],
    "ERR_MUX_STREAM_ID",
  ],
  ["a stream id that is far behind", [syn(3), syn(3 + 2 * 1026), syn(1)], "ERR_MUX_STREAM_ID"],
  ["data for a stream that never was", [frame(DATA, 0, 7, 1)], "ERR_MUX_STREAM_ID"],
  ["credit for a stream that we never opened", [header(UPDATE, 0, 2, 1)], "ERR_MUX_STREAM_ID"],
  ["data on stream 0", [frame(DATA, 0, 0, 1)], "ERR_MUX_STREAM_ID"],
  ["credit for stream 0", [header(UPDATE, 0, 0, 1)], "ERR_MUX_STREAM_ID"],
  // Order.
  [
    "data after FIN",
    [syn(1), frame(DATA, FIN, 1, 0), frame(DATA, 0, 1, 1)],
    "ERR_MUX_STREAM_STATE",
  ],
  [
    "FIN after FIN",
    [syn(1), frame(DATA, FIN, 1, 0), frame(DATA, FIN, 1, 0)],
    "ERR_MUX_STREAM_STATE",
  ],
  // Windows.
  [
    "data over the window, in one header",
    [syn(1), header(DATA, 0, 1, WINDOW + 1)],
    "ERR_MUX_WINDOW",
  ],
  [
    "data over the window, in two frames",
    [syn(1), frame(DATA, 0, 1, WINDOW), frame(DATA, 0, 1, 1)],
    "ERR_MUX_WINDOW",
  ],
  [
    "data over the window of a stream that is gone",
    [syn(1), header(UPDATE, RST, 1, 0), header(DATA, 0, 1, 2 ** 31)],
    "ERR_MUX_WINDOW",
  ],
  ["SYN with oversized data (CVE-2026-32314)", [header(DATA, SYN, 1, 2 ** 31)], "ERR_MUX_WINDOW"],
  [
    "SYN with one byte too many (CVE-2026-32314)",
    [header(DATA, SYN, 1, WINDOW + 1)],
    "ERR_MUX_WINDOW",
  ],
  [
    "a window over 2^32 (CVE-2026-31814)",
    [syn(1), header(UPDATE, 0, 1, 2 ** 32 - 1)],
    "ERR_MUX_WINDOW",
  ],
  [
    "a window over 2^32 by steps (CVE-2026-31814)",
    [syn(1), header(UPDATE, 0, 1, 2 ** 31), header(UPDATE, 0, 1, 2 ** 31)],
    "ERR_MUX_WINDOW",
  ],
  [
    "a window over 2^32 with SYN (CVE-2026-31814)",
    [header(UPDATE, SYN, 1, 2 ** 32 - 1)],
    "ERR_MUX_WINDOW",
  ],
  // Floods.
  ["a flood of pings", many(300, (index) => frame(PING, SYN, 0, index)), "ERR_MUX_FLOOD"],
  [
    "a flood of answers that nobody waits for",
    many(300, (index) => frame(PING, ACK, 0, index)),
    "ERR_MUX_FLOOD",
  ],
  ["a flood of go-aways", many(300, () => header(GO_AWAY, 0, 0, 0)), "ERR_MUX_FLOOD"],
  ["a flood of empty frames", [syn(1), ...many(300, () => frame(DATA, 0, 1, 0))], "ERR_MUX_FLOOD"],
  [
    "streams opened and reset without end (HTTP/2 rapid reset)",
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

for (const [name, parts, code] of ATTACKS) {
  Deno.test(`MuxSession answers ${name} with go-away 1, and others are served meanwhile`, async () => {
    await using server = await MuxServer.start();
    await besideOthers(server, async () => {
      const [peer, session] = await server.attack();
      const goAway = peer.goAwayCode();
      const sending = peer.send(...parts).catch(() => {});
      await settles("the error", until("the session is over", () => session.status === "ended"));
      assertEquals(await settles("go-away", goAway), 1);
      peer.transport.close();
      assertEquals((await settles("the end", session.closed))?.code, code);
      await sending;
    });
  });
}

Deno.test("MuxSession that is told go-away 1, 2 or one that it does not know ends without an answer", async () => {
  await using server = await MuxServer.start();
  for (const code of [1, 2, 99]) {
    await besideOthers(server, async () => {
      const [peer, session] = await server.attack();
      await peer.send(syn(1));
      const stream = await session.acceptStream();
      const reading = stream!.read().catch((error) => error.code);
      await peer.send(header(GO_AWAY, 0, 0, code));
      assertEquals((await settles("the end", session.closed))?.code, "ERR_MUX_PEER_ERROR");
      assertEquals(await reading, "ERR_MUX_PEER_ERROR");
      assertEquals(await settles("go-away", peer.goAwayCode()), undefined);
      peer.transport.close();
    });
  }
});

Deno.test("MuxSession keeps 256 streams of a peer, answers more with RST, and takes new ones when old ones end", async () => {
  await using server = await MuxServer.start();
  await besideOthers(server, async () => {
    const [peer, session] = await server.attack();
    await peer.send(...many(256 + 50, (index) => syn(2 * index + 1)));
    const refused = new Set<number>();
    while (refused.size < 50) {
      const next = await settles("an RST", peer.find(({ flags }) => flags === RST));
      refused.add(next?.streamId ?? 0);
    }
    assertEquals([Math.min(...refused), Math.max(...refused)], [513, 611]);
    const { streams, backlog, streamsRefused } = session.stats();
    assertEquals([streams, backlog, streamsRefused, session.status], [256, 256, 50, "open"]);
    await peer.send(header(UPDATE, RST, 1, 0), syn(613));
    await until("the new one is there", () => session.stats().streamsAccepted === 307);
    assertEquals([session.stats().streams, session.stats().streamsRefused], [256, 50]);
    peer.transport.close();
    await session.closed;
  });
});

Deno.test("MuxSession gives credit for what its budget holds, keeps all of that, and refuses further streams", async () => {
  await using server = await MuxServer.start({ maxBufferedBytes: 16 << 20 });
  await besideOthers(server, async () => {
    const [peer, session] = await server.attack();
    // 70 streams with a whole window each would be 17.5 MiB.
    for (let id = 1; id <= 139; id += 2) await peer.send(syn(id), frame(DATA, 0, id, WINDOW));
    const refused: (number | undefined)[] = [];
    while (refused.length < 6) {
      refused.push((await settles("an RST", peer.find(({ flags }) => flags === RST)))?.streamId);
    }
    await until("all has come", () => session.stats().bytesIn >= 70 * WINDOW);
    assertEquals([refused, session.status], [[129, 131, 133, 135, 137, 139], "open"]);
    assertEquals([session.stats().bufferedBytes, session.stats().streams], [16 << 20, 64]);
    peer.transport.close();
    await session.closed;
  });
});

Deno.test("MuxSession shares the memory of the process: hoarders leave others room, and lose nothing that they may send", async () => {
  await using server = await MuxServer.start({ memory: new MuxMemory({ maxBytes: 4 << 20 }) });
  await besideOthers(server, async () => {
    const attackers = [await server.attack(), await server.attack()];
    for (const [peer] of attackers) {
      for (let id = 1; id <= 23; id += 2) await peer.send(syn(id), frame(DATA, 0, id, WINDOW));
    }
    const came = ([, session]: typeof attackers[0]) => session.stats().bytesIn >= 12 * WINDOW;
    await until("all has come", () => attackers.every(came));
    const [modest, modestSession] = await server.attack();
    await modest.send(syn(1), frame(DATA, 0, 1, 1000), syn(3), frame(DATA, 0, 3, 1000));
    await until("it has come", () => modestSession.stats().bufferedBytes === 2000);
    for (const [, session] of attackers) {
      assertEquals([session.stats().bufferedBytes, session.status], [
        session.stats().streams * WINDOW,
        "open",
      ]);
    }
    assert(
      server.memory.reservedBytes <= 5 << 20,
      `${server.memory.reservedBytes} bytes are reserved`,
    );
    for (const [peer, session] of [...attackers, [modest, modestSession] as const]) {
      peer.transport.close();
      await session.closed;
    }
  });
});

Deno.test("MuxSession resets a stream that is never answered (hashicorp/yamux #88)", async () => {
  await using server = await MuxServer.start({ openTimeoutMs: 50 });
  await besideOthers(server, async () => {
    const [peer, session] = await server.attack();
    const unanswered = await session.openStream();
    const rst = await settles("an RST", peer.find(({ flags }) => flags === RST));
    assertEquals([rst?.streamId, (await unanswered.closed)?.code], [2, "ERR_CONNECT_TIMEOUT"]);
    assertEquals([session.stats().streams, session.status], [0, "open"]);
    peer.transport.close();
    await session.closed;
  });
});

Deno.test("MuxSession resets a closed stream that is never ended (hashicorp/yamux #88)", async () => {
  await using server = await MuxServer.start({ halfCloseTimeoutMs: 50 });
  await besideOthers(server, async () => {
    const [peer, session] = await server.attack();
    const endless = await session.openStream();
    await peer.send(header(UPDATE, ACK, 2, 0));
    await settles("close()", endless.close());
    const late = await settles("an RST", peer.find(({ flags }) => flags === RST));
    assertEquals([late?.streamId, (await endless.closed)?.code], [2, "ERR_IDLE_TIMEOUT"]);
    assertEquals([session.stats().streams, session.status], [0, "open"]);
    peer.transport.close();
    await session.closed;
  });
});

Deno.test("MuxSession with a peer that never gives credit stalls that stream only", async () => {
  await using server = await MuxServer.start();
  const [peer, session] = await server.attack();
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
  peer.transport.close();
});

Deno.test("MuxSession.closed and all that waits settle within a second of a lost connection", async () => {
  await using server = await MuxServer.start();
  const [peer, session] = await server.attack();
  await peer.send(syn(1));
  const stream = await session.acceptStream();
  const waits = [
    stream?.read(),
    stream?.write(new Uint8Array(WINDOW * 2)),
    session.acceptStream().then((next) => next === null ? Promise.reject(new Error("over")) : next),
    session.ping(),
  ];
  peer.transport.close();
  const results = await settles("all that waits", Promise.allSettled(waits), 1000);
  assertEquals(results.map(({ status }) => status), Array(4).fill("rejected"));
  assertEquals((await settles("the end", session.closed, 1000))?.code, "ERR_RESET");
});

Deno.test("MuxSession takes a go-away of the peer as the end of new streams only", async () => {
  await using server = await MuxServer.start();
  const [peer, session] = await server.attack();
  await peer.send(syn(1), header(GO_AWAY, 0, 0, 0));
  await until("it has come", () => session.status === "goAwayReceived");
  peer.transport.close();
});
