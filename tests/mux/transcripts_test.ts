// Recorded sessions with libp2p's yamux: the header module reads them, and our session answers as it did.
import { assertEquals } from "@std/assert";
import {
  decodeHeader,
  encodeHeader,
  Flag,
  FrameReader,
  FrameType,
  MuxSession,
} from "@parley/parley/mux";
import type { Address, Transport } from "../../net/transport/transport.ts";
import { concat, cutEvery, everyCut } from "../support/bytes.ts";
import {
  bytesOf,
  FrameLog,
  type LoggedFrame,
  type TranscriptLine,
} from "../support/simulation/frame_log.ts";
import { TRANSCRIPTS, type YamuxTranscript } from "../support/peers/record_yamux.ts";
import { settles } from "../support/wait.ts";
import { YAMUX_SCENARIOS } from "../support/peers/yamux_scenarios.ts";

const { sessions }: { sessions: YamuxTranscript[] } = JSON.parse(
  Deno.readTextFileSync(TRANSCRIPTS),
);

/** Sessions up to this size are cut at every point, larger ones into pieces. */
const EVERY_CUT_UP_TO_BYTES = 500;

/** A header in the words of a transcript. */
function say(header: ReturnType<typeof decodeHeader>): string {
  const type = ["data", "window", "ping", "goaway"][header.type];
  const flags = (["syn", "ack", "fin", "rst"] as const).filter((flag) => header.flags & Flag[flag]);
  return [type, ...flags.map((flag) => flag.toUpperCase()), `#${header.streamId}`, header.length]
    .join(" ");
}

Deno.test("decodeHeader reads every recorded frame of both sides, and encodeHeader writes the same bytes", () => {
  for (const { frames } of sessions) {
    for (const line of frames) {
      const bytes = bytesOf(line);
      const header = decodeHeader(bytes);
      assertEquals(say(header), line[1]);
      assertEquals(encodeHeader(header), bytes.subarray(0, 12));
      assertEquals(bytes.length - 12, header.type === FrameType.data ? header.length : 0);
    }
  }
});

Deno.test("FrameReader cuts recorded flows of both sides into their frames, however they are split", () => {
  for (const { frames } of sessions) {
    for (const side of ["ours", "theirs"]) {
      const lines = frames.filter(([from]) => from === side);
      const bytes = concat(lines.map(bytesOf));
      const bodies = lines.reduce((sum, line) => sum + bytesOf(line).length - 12, 0);
      const cuts = bytes.length <= EVERY_CUT_UP_TO_BYTES
        ? everyCut(bytes)
        : [[bytes], cutEvery(bytes, 4099)];
      for (const pieces of cuts) {
        const said: string[] = [];
        let count = 0;
        const reader = new FrameReader({
          onHeader: (header) => said.push(say(header)),
          onBody: (body) => count += body.length,
        });
        for (const piece of pieces) reader.push(piece);
        assertEquals([said, count, reader.atBoundary], [
          lines.map(([, says]) => says),
          bodies,
          true,
        ]);
      }
    }
  }
});

for (const { name, role, frames } of sessions) {
  Deno.test(`MuxSession as ${role} answers a recorded peer as it did: ${name}`, async () => {
    const replay = new Replay(frames);
    const session = new MuxSession(replay, { role, keepAliveMs: 0, maxStreams: 256 });
    const scenario = YAMUX_SCENARIOS.find((scenario) => scenario.name === name)!;
    await settles("the replay", scenario.ours(session));
    await settles("our last words", replay.finished());
    session.abort();
    await session.closed;
    assertEquals(fixedBy(replay.log.frames), fixedBy(logOf(frames)));
  });
}

Deno.test("the transcripts hold every scenario, as client and as server", () => {
  const recorded = sessions.map(({ name, role }) => `${name}, ${role}`);
  const wanted = YAMUX_SCENARIOS.flatMap(({ name }) => [`${name}, client`, `${name}, server`]);
  assertEquals(recorded, wanted);
});

function logOf(lines: readonly TranscriptLine[]): LoggedFrame[] {
  const log = new FrameLog(true);
  for (const line of lines) log.push(line[0], bytesOf(line));
  return log.of("ours");
}

/**
 * What the protocol leaves no choice about in what we sent: the flags and bytes of each stream in
 * their order, answers to pings, go-aways. Credit, pings of our own and the size of frames are our
 * own affair.
 */
function fixedBy(frames: readonly LoggedFrame[]): Record<string, string[]> {
  const fixed: Record<string, string[]> = {};
  for (const { type, flags, stream, length, bytes } of frames) {
    if (type === "ping" && !flags.includes("ACK")) continue;
    const list = fixed[`#${stream}`] ??= [];
    if (type === "goaway" || type === "ping" && flags.includes("ACK")) {
      list.push(`${type} ${length}`);
    }
    if (stream === 0) continue;
    list.push(...flags.filter((flag) => flag === "SYN" || flag === "ACK"));
    if (type === "data" && length > 0) {
      const body = bytes.subarray(12).toHex();
      if (list.at(-1)?.startsWith("data") === true) list[list.length - 1] += body;
      else list.push(`data ${body}`);
    }
    list.push(...flags.filter((flag) => flag === "FIN" || flag === "RST"));
  }
  return fixed;
}

/** How far a side has come: bytes of data, and how many of each flag and session frame. */
function progress(frames: readonly LoggedFrame[]): Record<string, number> {
  const counts: Record<string, number> = {};
  const count = (what: string, by = 1) => counts[what] = (counts[what] ?? 0) + by;
  for (const { type, flags, length } of frames) {
    if (type === "data") count("data", length);
    for (const flag of flags) {
      if (type !== "ping" || flag === "ACK") count(`${type === "ping"} ${flag}`);
    }
    if (type === "goaway") count("goaway");
  }
  return counts;
}

/** The far side of a recorded session: a frame comes once we have said what we had said before it. */
class Replay implements Transport {
  readonly localAddr: Address = { transport: "memory" } as Address;
  readonly remoteAddr: Address = { transport: "memory" } as Address;
  readonly log = new FrameLog(true);
  readonly #lines: readonly TranscriptLine[];
  #at = 0;
  readonly #ended = Promise.withResolvers<void>();
  #closed = false;
  readonly #checks = new Set<() => void>();

  constructor(lines: readonly TranscriptLine[]) {
    this.#lines = lines;
  }

  async read(): Promise<Uint8Array | null> {
    while (this.#lines[this.#at]?.[0] === "ours") this.#at++;
    await this.#said(this.#at);
    const line = this.#lines[this.#at++];
    // It leaves when we have left, or at once where a side had gone away.
    if (line === undefined && !this.#hasGoAway) await this.#ended.promise;
    return this.#closed || line === undefined ? null : bytesOf(line);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.log.push("ours", bytes.slice());
    for (const check of this.#checks) check();
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    this.#ended.resolve();
    return Promise.resolve();
  }

  close(): void {
    this.#closed = true;
    this.#ended.resolve();
    for (const check of this.#checks) check();
  }

  get #hasGoAway(): boolean {
    return this.#lines.some(([, says]) => says.startsWith("goaway"));
  }

  /** Waits until we have said all that was recorded. */
  finished(): Promise<void> {
    return this.#said(this.#lines.length);
  }

  #said(lines: number): Promise<void> {
    const wanted = Object.entries(progress(logOf(this.#lines.slice(0, lines))));
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = () => {
      const now = progress(this.log.of("ours"));
      const done = this.#closed || wanted.every(([what, count]) => (now[what] ?? 0) >= count);
      if (done) this.#checks.delete(check), resolve();
    };
    this.#checks.add(check);
    check();
    return promise;
  }
}
