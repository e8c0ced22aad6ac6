// Frames and records in memory, each beside the least that must be done: `deno bench -A bench/ipc_bench.ts`.
import { createCipheriv } from "node:crypto";
import { encodeFrame, FrameKind, IpcFrameReader, writeFrameHead } from "../ipc/protocol/frames.ts";
import { RecordType } from "../ipc/secure/record_reader.ts";
import { RECORD_OVERHEAD_BYTES, RecordOpener, RecordSealer } from "../ipc/secure/records.ts";
import { IpcLink } from "../ipc/link/link.ts";
import { PlainLink } from "../ipc/secure/frame_link.ts";
import { memoryPair } from "../net/transport/memory_pair.ts";

const CHUNK_BYTES = 65536;
const TRAFFIC = new Uint8Array(48).fill(7);

for (const size of [64, 1024]) {
  const group = `decode frames of ${size} B`;
  const frame = encodeFrame(FrameKind.message, 1, new Uint8Array(size));
  const chunk = new Uint8Array(Math.floor(CHUNK_BYTES / frame.length) * frame.length);
  for (let at = 0; at < chunk.length; at += frame.length) chunk.set(frame, at);

  Deno.bench({ name: `bare loop: length, subarray (${size} B)`, group, baseline: true }, () => {
    let count = 0;
    for (let at = 0; at < chunk.length;) {
      const length = chunk[at]! << 24 | chunk[at + 1]! << 16 | chunk[at + 2]! << 8 | chunk[at + 3]!;
      count += chunk.subarray(at + 9, at + 4 + length).length;
      at += 4 + length;
    }
    if (count === 0) throw new Error("nothing was decoded");
  });

  const decoder = new IpcFrameReader(1 << 20);
  Deno.bench({ name: `IpcFrameReader (${size} B)`, group }, () => {
    let count = 0;
    decoder.push(chunk, (_kind, _tag, data) => count += data.length);
    if (count === 0) throw new Error("nothing was decoded");
  });
}

{
  const group = "lay out 900 frames of 64 B";
  const target = new Uint8Array(CHUNK_BYTES);
  const data = new Uint8Array(64);
  Deno.bench({ name: "one set per message", group, baseline: true }, () => {
    for (let i = 0; i < 900; i++) target.set(data, i * 73 % (CHUNK_BYTES - 73));
  });
  Deno.bench({ name: "writeFrameHead and set", group }, () => {
    for (let i = 0; i < 900; i++) {
      const at = i * 73 % (CHUNK_BYTES - 73);
      writeFrameHead(target, at, { kind: FrameKind.message, tag: 1, dataBytes: 64 });
      target.set(data, at + 9);
    }
  });
}

for (const size of [64, 4096, 65536]) {
  const group = `seal a record of ${size} B`;
  const plain = new Uint8Array(size);
  const target = new Uint8Array(size + RECORD_OVERHEAD_BYTES);
  const key = new Uint8Array(32);
  const iv = new Uint8Array(12);
  Deno.bench({ name: `node:crypto alone (${size} B)`, group, baseline: true }, () => {
    const cipher = createCipheriv("aes-256-gcm", key, iv);
    cipher.update(plain);
    cipher.final();
    cipher.getAuthTag();
  });
  const limits = { records: 2 ** 23, bytes: Infinity, ageMs: Infinity };
  let sealer = new RecordSealer(TRAFFIC.slice(), 0, limits);
  Deno.bench({ name: `RecordSealer on this thread (${size} B)`, group }, () => {
    if (sealer.updateIfDue(0) !== null) sealer = new RecordSealer(TRAFFIC.slice(), 0, limits);
    sealer.seal(RecordType.data, plain);
  });
  Deno.bench({ name: `RecordSealer off this thread (${size} B)`, group }, async () => {
    if (sealer.updateIfDue(0) !== null) sealer = new RecordSealer(TRAFFIC.slice(), 0, limits);
    await sealer.sealAsync(target, plain);
  });
}

Deno.bench("RecordOpener opens a record of 64 B", (bench) => {
  const record = new RecordSealer(TRAFFIC.slice(), 0).seal(RecordType.data, new Uint8Array(64));
  const opener = new RecordOpener(TRAFFIC.slice(), 65536);
  opener.input.push(record);
  bench.start();
  opener.next();
  bench.end();
});

{
  const group = "1000 queries of 64 B, 64 in flight, in memory, plain";
  const info = {
    role: "server" as const,
    sessionId: new Uint8Array(16),
    exporter: new Uint8Array(48),
    peerMaxMessageBytes: 1 << 20,
    peerMaxRecordBytes: 65536,
    maxRecordBytes: 65536,
  };
  const [near, far] = memoryPair();
  const [client, server] = [near, far].map((transport) => {
    const link = new IpcLink(new PlainLink(transport, info, new Uint8Array(0)), {
      limits: {
        ...{
          maxMessageBytes: 1 << 20,
          highWaterBytes: 1 << 20,
          maxQueuedBytes: 1 << 23,
          readAheadBytes: 1 << 18,
        },
        ...{
          channel: "bench",
          maxQueriesInFlight: 1024,
          maxQueriesRunning: 256,
          closeTimeoutMs: 1000,
        },
        ...{ keepaliveMs: 0, keepaliveTimeoutMs: 1000, writeTimeoutMs: 1000, messageTimeoutMs: 0 },
      },
      onQuery: (data) => data,
      inbox: { full: false, overfull: false, onRoom: () => {}, receive: () => {} },
      onHandlerError: () => {},
    });
    link.start();
    return link;
  });
  const data = new Uint8Array(64);
  Deno.bench({ name: "a promise for each, no more", group, baseline: true }, async () => {
    let left = 1000;
    await Promise.all(Array.from({ length: 64 }, async () => {
      while (left-- > 0) await Promise.resolve(data);
    }));
  });
  Deno.bench({ name: "IpcLink", group }, async () => {
    let left = 1000;
    await Promise.all(Array.from({ length: 64 }, async () => {
      while (left-- > 0) await client!.query(data, 5000);
    }));
    if (!server!.isOpen) throw new Error("the link has ended");
  });
}
