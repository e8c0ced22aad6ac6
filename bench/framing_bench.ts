// Framing: decode and encode in memory, beside the shortest loops that do the same.
//
// The bare loops are the baseline: they trust their input, know that no message is cut, and keep no limit.
import { DelimiterStream } from "@std/streams/delimiter-stream";
import {
  delimited,
  FrameDecoderStream,
  type Framing,
  lengthPrefixed,
  varintPrefixed,
} from "../framing.ts";

const CHUNK_BYTES = 65536;
const LIMITS = { maxMessageBytes: 2 ** 20 };
const NEWLINE = 10;

/** Keeps results alive, so that no work is optimized away. */
let sink = 0;

function frameOf(framing: Framing, messageBytes: number): Uint8Array {
  const encoder = framing.encoder(LIMITS);
  const body = encoder.body(new Uint8Array(messageBytes).fill(97));
  const frame = new Uint8Array(body.length + encoder.maxOverhead);
  const start = encoder.writeHead(body, frame, 0);
  frame.set(body, start);
  return frame.slice(0, encoder.writeTail(body, frame, start + body.length));
}

/** Chunks of about 64 KiB that hold whole frames, about 4 MiB in all. */
function chunksOf(framing: Framing, messageBytes: number): Uint8Array[] {
  const frame = frameOf(framing, messageBytes);
  const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / frame.length));
  const chunk = new Uint8Array(perChunk * frame.length);
  for (let i = 0; i < perChunk; i++) chunk.set(frame, i * frame.length);
  return Array.from({ length: 64 }, () => chunk);
}

function decode(framing: Framing, chunks: readonly Uint8Array[]): void {
  const decoder = framing.decoder(LIMITS);
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
      sink += message.length;
    }
  }
}

function bareLines(chunks: readonly Uint8Array[]): void {
  for (const chunk of chunks) {
    for (
      let at = 0, end = chunk.indexOf(NEWLINE);
      end !== -1;
      at = end + 1, end = chunk.indexOf(NEWLINE, at)
    ) {
      sink += chunk.subarray(at, end).length;
    }
  }
}

function naiveLines(chunks: readonly Uint8Array[]): void {
  for (const chunk of chunks) {
    let message: number[] = [];
    for (const byte of chunk) {
      if (byte === NEWLINE) {
        sink += new Uint8Array(message).length;
        message = [];
      } else message.push(byte);
    }
  }
}

function bareLengths(chunks: readonly Uint8Array[]): void {
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      const length = (chunk[at]! << 24) | (chunk[at + 1]! << 16) | (chunk[at + 2]! << 8) |
        chunk[at + 3]!;
      sink += chunk.subarray(at + 4, at + 4 + length).length;
      at += 4 + length;
    }
  }
}

/**
 * Benches of streams must be `async` functions: `deno bench` does not wait for what any other one
 * returns.
 */
async function throughStream(
  chunks: readonly Uint8Array[],
  stream: TransformStream<Uint8Array, Uint8Array>,
): Promise<void> {
  for await (const message of ReadableStream.from(chunks).pipeThrough(stream)) {
    sink += message.length;
  }
}

for (const size of [16, 64, 1024, 16384, 65000]) {
  const lines = chunksOf(delimited("\n"), size);
  const group = `decode delimited, ${size} B`;
  Deno.bench(
    `bare indexOf and subarray, ${size} B`,
    { group, baseline: true },
    () => bareLines(lines),
  );
  Deno.bench(`delimited("\\n"), ${size} B`, { group }, () => decode(delimited("\n"), lines));
  Deno.bench(`FrameDecoderStream, ${size} B`, { group }, async () => {
    await throughStream(lines, new FrameDecoderStream(delimited("\n")));
  });
  if (size > 1024) continue;
  Deno.bench(`naive byte loop, ${size} B`, { group }, () => naiveLines(lines));
  Deno.bench(`@std/streams DelimiterStream, ${size} B`, { group }, async () => {
    await throughStream(
      lines,
      new DelimiterStream(new Uint8Array([NEWLINE])) as typeof FrameDecoderStream.prototype,
    );
  });
}

for (const size of [16, 64, 1024, 16384, 65000]) {
  const frames = chunksOf(lengthPrefixed(), size);
  const varints = chunksOf(varintPrefixed(), size);
  const group = `decode u32 prefix, ${size} B`;
  Deno.bench(
    `bare prefix and subarray, ${size} B`,
    { group, baseline: true },
    () => bareLengths(frames),
  );
  Deno.bench(`lengthPrefixed(), ${size} B`, { group }, () => decode(lengthPrefixed(), frames));
  Deno.bench(`varintPrefixed(), ${size} B`, { group }, () => decode(varintPrefixed(), varints));
}

const MESSAGES = 20_000;
const into = new Uint8Array(CHUNK_BYTES);

function encode(framing: Framing, messages: readonly Uint8Array[]): void {
  const encoder = framing.encoder(LIMITS);
  let at = 0;
  for (const message of messages) {
    if (at + message.length + encoder.maxOverhead > CHUNK_BYTES) at = 0;
    const body = encoder.body(message);
    const start = encoder.writeHead(body, into, at);
    into.set(body, start);
    at = encoder.writeTail(body, into, start + body.length);
  }
  sink += at;
}

/** Leaves room for a prefix, so that both copy to addresses that are aligned alike. */
function bareSets(messages: readonly Uint8Array[]): void {
  let at = 4;
  for (const message of messages) {
    if (at + message.length + 4 > CHUNK_BYTES) at = 4;
    into.set(message, at);
    at += message.length + 4;
  }
  sink += at;
}

function bareScansAndSets(messages: readonly Uint8Array[]): void {
  let at = 0;
  for (const message of messages) {
    if (at + message.length + 1 > CHUNK_BYTES) at = 0;
    if (message.includes(NEWLINE)) throw new Error("The message holds its delimiter");
    into.set(message, at);
    at += message.length;
    into[at++] = NEWLINE;
  }
  sink += at;
}

function twoArrays(messages: readonly Uint8Array[]): void {
  for (const message of messages) {
    const prefix = new Uint8Array(4);
    new DataView(prefix.buffer).setUint32(0, message.length);
    sink += prefix.length + message.length;
  }
}

for (const size of [64, 1024]) {
  const messages = Array.from({ length: MESSAGES }, () => new Uint8Array(size).fill(97));
  const prefixed = `encode with a prefix, ${size} B`;
  Deno.bench(`bare set, ${size} B`, { group: prefixed, baseline: true }, () => bareSets(messages));
  Deno.bench(
    `lengthPrefixed(), ${size} B`,
    { group: prefixed },
    () => encode(lengthPrefixed(), messages),
  );
  Deno.bench(
    `varintPrefixed(), ${size} B`,
    { group: prefixed },
    () => encode(varintPrefixed(), messages),
  );
  Deno.bench(
    `a prefix of its own for each message, ${size} B`,
    { group: prefixed },
    () => twoArrays(messages),
  );

  // A sender of lines must look for the delimiter in each message, or let senders forge messages.
  const lines = `encode with a delimiter, ${size} B`;
  Deno.bench(
    `bare includes and set, ${size} B`,
    { group: lines, baseline: true },
    () => bareScansAndSets(messages),
  );
  Deno.bench(
    `delimited("\\n"), ${size} B`,
    { group: lines },
    () => encode(delimited("\n"), messages),
  );
}
