// FrameLog: the frames of a yamux session, told apart without the code under test.
import { hex } from "../bytes.ts";
import type { Party } from "./tapped_transport.ts";

const HEADER_BYTES = 12;
const TYPES = ["data", "window", "ping", "goaway"];
const FLAGS = ["SYN", "ACK", "FIN", "RST"];

/** One frame, by the words of the specification. */
export interface LoggedFrame {
  readonly from: Party;
  readonly type: string;
  readonly flags: readonly string[];
  readonly stream: number;
  /** The length field, whatever it means. */
  readonly length: number;
  /** Header and body; empty when bodies are not kept. */
  readonly bytes: Uint8Array;
}

/** Collects the frames of both sides in the order in which they were whole. */
export class FrameLog {
  readonly frames: LoggedFrame[] = [];
  readonly #keepsBytes: boolean;
  readonly #cutters = { ours: new Cutter(), theirs: new Cutter() };

  constructor(keepsBytes: boolean) {
    this.#keepsBytes = keepsBytes;
  }

  /** Takes what one side sent. */
  push(from: Party, bytes: Uint8Array): void {
    this.#cutters[from].push(
      bytes,
      this.#keepsBytes,
      (frame) => this.frames.push({ from, ...frame }),
    );
  }

  /** The frames of one side. */
  of(from: Party): LoggedFrame[] {
    return this.frames.filter((frame) => frame.from === from);
  }
}

/** Cuts the bytes of one side into frames. */
class Cutter {
  #held = new Uint8Array(0);
  #skip = 0;

  push(
    bytes: Uint8Array,
    keep: boolean,
    onFrame: (frame: Omit<LoggedFrame, "from">) => void,
  ): void {
    const skipped = Math.min(this.#skip, bytes.length);
    this.#skip -= skipped;
    let held = new Uint8Array(this.#held.length + bytes.length - skipped);
    held.set(this.#held);
    held.set(bytes.subarray(skipped), this.#held.length);
    for (; held.length >= HEADER_BYTES;) {
      const view = new DataView(held.buffer, held.byteOffset, held.length);
      const length = view.getUint32(8);
      const body = view.getUint8(1) === 0 ? length : 0;
      if (keep && held.length < HEADER_BYTES + body) break;
      const end = Math.min(HEADER_BYTES + body, held.length);
      onFrame({
        type: TYPES[view.getUint8(1)] ?? "unknown",
        flags: FLAGS.filter((_, bit) => view.getUint16(2) & 1 << bit),
        stream: view.getUint32(4),
        length,
        bytes: keep ? held.slice(0, end) : new Uint8Array(0),
      });
      this.#skip = HEADER_BYTES + body - end;
      held = held.subarray(end);
    }
    this.#held = held.slice();
  }
}

/** A frame as a transcript holds it: who sent it, what it says, and its bytes. */
export type TranscriptLine = readonly [from: Party, says: string, bytes: string];

/** What a frame says, as one line. */
export function describeFrame(
  { type, flags, stream, length }: Omit<LoggedFrame, "from" | "bytes">,
): string {
  return [type, ...flags, `#${stream}`, length].join(" ");
}

/** Writes a frame as a line; a long body of one byte only is written as that byte and how often it comes. */
export function toLine(frame: LoggedFrame): TranscriptLine {
  const header = frame.bytes.subarray(0, HEADER_BYTES).toHex();
  const body = frame.bytes.subarray(HEADER_BYTES);
  const isEven = body.length > 32 && body.every((byte) => byte === body[0]);
  const text = isEven ? `${body.subarray(0, 1).toHex()}*${body.length}` : body.toHex();
  return [frame.from, describeFrame(frame), body.length === 0 ? header : `${header} ${text}`];
}

/** The bytes of a line. */
export function bytesOf([, , text]: TranscriptLine): Uint8Array {
  const [header = "", body = ""] = text.split(" ");
  const [byte = "", times] = body.split("*");
  const rest = times === undefined
    ? hex(byte)
    : new Uint8Array(Number(times)).fill(hex(byte)[0] ?? 0);
  const bytes = new Uint8Array(HEADER_BYTES + rest.length);
  bytes.set(hex(header));
  bytes.set(rest, HEADER_BYTES);
  return bytes;
}
