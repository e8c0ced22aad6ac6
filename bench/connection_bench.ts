// Connection: send and receive over mock duplex transports, beside loops without a connection.
import { setImmediate } from "node:timers";
import { Connection } from "../connection.ts";
import { delimited, type Framing, lengthPrefixed, raw } from "../framing.ts";
import { memoryPair } from "../net/transport/memory_pair.ts";
import type { Address, Transport } from "../net/transport/transport.ts";

const MESSAGES = 20_000;
const CHUNK_BYTES = 65536;
const ADDRESS: Address = { transport: "memory", name: "bench" };

/**
 * Takes all that is written, in the next turn of the event loop as a socket does, and reads from a
 * list of chunks.
 */
class MockTransport implements Transport {
  readonly localAddr = ADDRESS;
  readonly remoteAddr = ADDRESS;
  writes = 0;
  bytes = 0;
  readonly #chunks: Iterator<Uint8Array>;

  constructor(chunks: Iterable<Uint8Array> = []) {
    this.#chunks = chunks[Symbol.iterator]();
  }

  read(): Promise<Uint8Array | null> {
    return Promise.resolve(this.#chunks.next().value ?? null);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.writes++;
    this.bytes += bytes.length;
    return new Promise((resolve) => setImmediate(resolve));
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

function check(what: number, wanted: number): void {
  if (what !== wanted) throw new Error(`Wanted ${wanted}, got ${what}`);
}

function frames(framing: Framing, size: number, count: number): Uint8Array[] {
  const encoder = framing.encoder({ maxMessageBytes: 2 ** 20 });
  const message = new Uint8Array(size).fill(97);
  const all = new Uint8Array(count * (size + encoder.maxOverhead));
  let end = 0;
  for (let i = 0; i < count; i++) {
    const start = encoder.writeHead(message, all, end);
    all.set(message, start);
    end = encoder.writeTail(message, all, start + size);
  }
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < end; at += CHUNK_BYTES) {
    chunks.push(all.subarray(at, Math.min(end, at + CHUNK_BYTES)));
  }
  return chunks;
}

for (const size of [64, 1024]) {
  const message = new Uint8Array(size).fill(97);

  const sending = `send ${MESSAGES} messages, ${size} B`;
  Deno.bench(
    `one set for each, one write for 64 KiB, ${size} B`,
    { group: sending, baseline: true },
    async () => {
      const transport = new MockTransport();
      let buffer = new Uint8Array(CHUNK_BYTES);
      let at = 0;
      for (let i = 0; i < MESSAGES; i++) {
        if (at + size + 4 > CHUNK_BYTES) {
          await transport.write(buffer.subarray(0, at));
          buffer = new Uint8Array(CHUNK_BYTES);
          at = 0;
        }
        at += 4;
        buffer.set(message, at);
        at += size;
      }
      await transport.write(buffer.subarray(0, at));
      check(transport.bytes, MESSAGES * (size + 4));
    },
  );
  Deno.bench(`Connection.send(), awaited, ${size} B`, { group: sending }, async () => {
    const transport = new MockTransport();
    const connection = new Connection(transport);
    for (let i = 0; i < MESSAGES; i++) await connection.send(message);
    await connection.flush();
    check(transport.bytes, MESSAGES * (size + 4));
    connection.abort();
  });
  Deno.bench(`Connection.send(), delimited, awaited, ${size} B`, { group: sending }, async () => {
    const transport = new MockTransport();
    const connection = new Connection(transport, { framing: delimited("\n") });
    for (let i = 0; i < MESSAGES; i++) await connection.send(message);
    await connection.flush();
    check(transport.bytes, MESSAGES * (size + 1));
    connection.abort();
  });
  Deno.bench(`Connection.sendBatch() of 64, ${size} B`, { group: sending }, async () => {
    const transport = new MockTransport();
    const connection = new Connection(transport);
    const batch = new Array<Uint8Array>(64).fill(message);
    let sent = 0;
    for (; sent + 64 <= MESSAGES; sent += 64) await connection.sendBatch(batch);
    await connection.sendBatch(batch.slice(0, MESSAGES - sent));
    await connection.flush();
    check(transport.bytes, MESSAGES * (size + 4));
    connection.abort();
  });
  Deno.bench(`two writes for each, awaited, ${size} B`, { group: sending }, async () => {
    const transport = new MockTransport();
    for (let i = 0; i < MESSAGES; i++) {
      const prefix = new Uint8Array(4);
      new DataView(prefix.buffer).setUint32(0, size);
      await transport.write(prefix);
      await transport.write(message);
    }
    check(transport.writes, 2 * MESSAGES);
  });

  const receiving = `receive ${MESSAGES} messages, ${size} B`;
  const chunks = frames(lengthPrefixed(), size, MESSAGES);
  Deno.bench(`decoder alone, ${size} B`, { group: receiving, baseline: true }, async () => {
    const transport = new MockTransport(chunks);
    const decoder = lengthPrefixed().decoder({ maxMessageBytes: 2 ** 20 });
    let got = 0;
    for (let chunk = await transport.read(); chunk !== null; chunk = await transport.read()) {
      decoder.push(chunk);
      while (decoder.next() !== undefined) got++;
    }
    check(got, MESSAGES);
  });
  Deno.bench(`for await, ${size} B`, { group: receiving }, async () => {
    const connection = new Connection(new MockTransport(chunks));
    let got = 0;
    for await (const _ of connection) got++;
    check(got, MESSAGES);
    connection.abort();
  });
  Deno.bench(`Connection.receive(), ${size} B`, { group: receiving }, async () => {
    const connection = new Connection(new MockTransport(chunks));
    let got = 0;
    while (await connection.receive() !== null) got++;
    check(got, MESSAGES);
    connection.abort();
  });
  Deno.bench(`Connection.batches(), ${size} B`, { group: receiving }, async () => {
    const connection = new Connection(new MockTransport(chunks));
    let got = 0;
    for await (const batch of connection.batches()) got += batch.length;
    check(got, MESSAGES);
    connection.abort();
  });
  Deno.bench(`Connection.readable, ${size} B`, { group: receiving }, async () => {
    const connection = new Connection(new MockTransport(chunks));
    let got = 0;
    for await (const _ of connection.readable) got++;
    check(got, MESSAGES);
    connection.abort();
  });

  const echoing = `echo ${MESSAGES} messages, 64 in flight, memory pair, ${size} B`;
  for (const framing of [raw(), lengthPrefixed(), delimited("\n")]) {
    const bare = framing.name === "raw";
    const name = bare ? "bare read and write" : framing.name;
    Deno.bench(`${name}, ${size} B`, { group: echoing, baseline: bare }, async () => {
      await (bare ? echoBare(message) : echo(framing, message, echoEach));
    });
    if (bare) continue;
    Deno.bench(`${name}, by batches, ${size} B`, { group: echoing }, async () => {
      await echo(framing, message, echoBatches);
    });
  }
}

async function echoBare(message: Uint8Array): Promise<void> {
  const [near, far] = memoryPair();
  const serving = (async () => {
    for (let chunk = await far.read(); chunk !== null; chunk = await far.read()) {
      await far.write(chunk);
    }
    far.close();
  })();
  const batch = new Uint8Array(64 * message.length);
  for (let i = 0; i < 64; i++) batch.set(message, i * message.length);
  let got = 0;
  const wanted = Math.floor(MESSAGES / 64) * batch.length;
  for (let sent = 0; sent < wanted; sent += batch.length) {
    await near.write(batch);
    while (got < sent + batch.length) got += (await near.read())!.length;
  }
  check(got, wanted);
  near.close();
  await serving;
}

async function echoEach(server: Connection): Promise<void> {
  for await (const request of server) await server.send(request);
}

async function echoBatches(server: Connection): Promise<void> {
  for await (const batch of server.batches()) {
    let last: Promise<void> | undefined;
    for (const request of batch) last = server.send(request);
    await last;
  }
}

async function echo(
  framing: Framing,
  message: Uint8Array,
  serve: (server: Connection) => Promise<void>,
): Promise<void> {
  const [near, far] = memoryPair();
  const client = new Connection(near, { framing });
  const server = new Connection(far, { framing });
  const serving = serve(server);
  let got = 0;
  for (let i = 0; i < 64; i++) client.send(message);
  for await (const reply of client) {
    check(reply.length, message.length);
    if (++got === MESSAGES) break;
    if (got <= MESSAGES - 64) client.send(message);
  }
  await Promise.all([client.close(), server.close(), serving]);
}
