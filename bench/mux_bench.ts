// Mux: bulk over one stream and over 64, churn, and ping-pong beside idle streams, beside a raw
// copy and libp2p's yamux.
import { MuxMemory, MuxSession, type MuxStream } from "../mux/mod.ts";
import { memoryPair } from "../net/transport/memory_pair.ts";
import type { Transport } from "../net/transport/transport.ts";
import { libp2pMux, type Libp2pMuxer } from "../tests/support/peers/libp2p_mux.ts";
import { dial } from "../net/dial.ts";
import { listen } from "../net/listen.ts";

const BULK_BYTES = 64 << 20;
const CHUNK = new Uint8Array(65_536);
const CHURN = 640;

async function tcpPair(): Promise<[Transport, Transport]> {
  const { signal } = new AbortController();
  const listener = await listen({ port: 0 });
  const port = listener.addr.transport === "tcp" ? listener.addr.port : 0;
  const [near, incoming] = await Promise.all([dial({ port }, { signal }), listener.accept()]);
  listener.close();
  if (incoming === null) throw new Error("Nobody came");
  return [near, await incoming.open({ signal })];
}

const LINKS = {
  memory: () => Promise.resolve(memoryPair()),
  tcp: tcpPair,
} as const;

/** Two sessions of ours; the server's side echoes or swallows. */
async function ours(link: keyof typeof LINKS, serve: (stream: MuxStream) => Promise<void>) {
  const [near, far] = await LINKS[link]();
  const limits = {
    maxStreams: 20_000,
    maxBacklog: 20_000,
    maxOpening: 20_000,
    keepAliveMs: 0,
    // Room for the window of each: 256 KiB by yamux.
    maxBufferedBytes: 2 ** 34,
    memory: new MuxMemory({ maxBytes: 2 ** 35 }),
  };
  const client = new MuxSession(near, { ...limits, role: "client" });
  const server = new MuxSession(far, { ...limits, role: "server" });
  void (async () => {
    for await (const stream of server) void serve(stream).catch(() => {});
  })();
  return { client, end: () => (client.abort(), server.abort()) };
}

async function swallow(stream: MuxStream): Promise<void> {
  while (await stream.read() !== null);
  await stream.closeWrite();
}

async function echo(stream: MuxStream): Promise<void> {
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) {
    await stream.write(chunk);
  }
  await stream.closeWrite();
}

async function sendAll(stream: MuxStream, bytes: number): Promise<void> {
  for (let sent = 0; sent < bytes; sent += CHUNK.length) await stream.write(CHUNK);
  await stream.closeWrite();
  while (await stream.read() !== null);
}

/** libp2p's muxer on both sides; the server's side echoes. */
async function theirs(link: keyof typeof LINKS) {
  const [near, far] = await LINKS[link]();
  const [client, server] = [libp2pMux(near, "client"), libp2pMux(far, "server", "swallow")];
  return { client, end: () => (client.abort(new Error("over")), server.abort(new Error("over"))) };
}

async function sendAllTheirs(client: Libp2pMuxer, bytes: number): Promise<void> {
  const stream = await client.createStream();
  const ended = new Promise((resolve) => stream.addEventListener("remoteCloseWrite", resolve));
  for (let left = bytes; left > 0; left -= CHUNK.length) {
    if (!stream.send(CHUNK.subarray(0, left))) await stream.onDrain();
  }
  await stream.close();
  await ended;
}

for (const link of ["memory", "tcp"] as const) {
  Deno.bench(
    { name: `raw copy, 64 MiB over ${link}`, group: `bulk ${link}`, baseline: true },
    async (b) => {
      const [near, far] = await LINKS[link]();
      b.start();
      const reading = (async () => {
        for (let got = 0; got < BULK_BYTES;) got += (await far.read())?.length ?? BULK_BYTES;
      })();
      for (let sent = 0; sent < BULK_BYTES; sent += CHUNK.length) await near.write(CHUNK);
      await reading;
      b.end();
      near.close();
      far.close();
    },
  );
  for (const streams of [1, 64]) {
    Deno.bench(
      { name: `Parley, ${streams} streams over ${link}`, group: `bulk ${link}` },
      async (b) => {
        const { client, end } = await ours(link, swallow);
        b.start();
        await Promise.all(Array.from({ length: streams }, async () => {
          await sendAll(await client.openStream(), BULK_BYTES / streams);
        }));
        b.end();
        end();
      },
    );
    Deno.bench(
      { name: `libp2p, ${streams} streams over ${link}`, group: `bulk ${link}` },
      async (b) => {
        const { client, end } = await theirs(link);
        b.start();
        await Promise.all(
          Array.from({ length: streams }, () => sendAllTheirs(client, BULK_BYTES / streams)),
        );
        b.end();
        end();
      },
    );
  }
}

Deno.bench(
  { name: `Parley, ${CHURN} streams of 64 bytes`, group: "churn", baseline: true },
  async (b) => {
    const { client, end } = await ours("tcp", echo);
    b.start();
    await inTurns(async () => await sendSmall(await client.openStream()));
    b.end();
    end();
  },
);

Deno.bench({ name: `libp2p, ${CHURN} streams of 64 bytes`, group: "churn" }, async (b) => {
  const { client, end } = await theirs("tcp");
  b.start();
  await inTurns(() => sendAllTheirs(client, 64));
  b.end();
  end();
});

for (const idle of [0, 1000, 10_000]) {
  Deno.bench(
    { name: `2000 round trips beside ${idle} idle streams`, group: "idle", baseline: idle === 0 },
    async (b) => {
      const { client, end } = await ours("memory", echo);
      for (let count = 0; count < idle; count++) await client.openStream();
      const stream = await client.openStream();
      const pingPong = async (rounds: number) => {
        for (let count = 0; count < rounds; count++) {
          await stream.write(CHUNK.subarray(0, 64));
          await stream.read();
        }
      };
      // The idle streams are all answered, and the code is warm, before it counts.
      await pingPong(500);
      b.start();
      await pingPong(2000);
      b.end();
      end();
    },
  );
}

async function sendSmall(stream: MuxStream): Promise<void> {
  await stream.write(CHUNK.subarray(0, 64));
  await stream.closeWrite();
  while (await stream.read() !== null);
}

/** 64 at a time. */
async function inTurns(work: () => Promise<void>): Promise<void> {
  let left = CHURN;
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (left-- > 0) await work();
  }));
}
