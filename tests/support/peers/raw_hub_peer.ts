// RawHubPeer: a client of the wire that writes every byte by hand.
import { dial } from "../../../net/dial.ts";
import { utf8 } from "../bytes.ts";
import { frame, type RawFrame, RawPeer } from "./raw_mux.ts";
import { settles } from "../wait.ts";
import { TOKEN } from "./wires.ts";

const DATA = 0, UPDATE = 1;
const SYN = 1, ACK = 2, FIN = 4, RST = 8;

/** A frame of the wire: length and JSON; `length` may lie. */
export function wireFrame(value: object | string, length?: number): Uint8Array {
  const body = utf8(typeof value === "string" ? value : JSON.stringify(value));
  const bytes = new Uint8Array(4 + body.length);
  new DataView(bytes.buffer).setUint32(0, length ?? body.length);
  bytes.set(body, 4);
  return bytes;
}

/** HELLO as it should be. */
export function helloOf(identity: string, token: string = identity + TOKEN): object {
  return { parley: 1, identity, token, streams: [] };
}

/** The mux frames that open a stream and send `body` on it. */
export function opening(id: number, body: Uint8Array): Uint8Array[] {
  return [frame(UPDATE, SYN, id, 0), frame(DATA, 0, id, body.length, body)];
}

/** Speaks to a hub with bytes alone. */
export class RawHubPeer implements Disposable {
  readonly peer: RawPeer;
  readonly #held = new Map<number, Uint8Array>();
  readonly #ended = new Set<number>();
  readonly #opened: number[] = [];

  constructor(peer: RawPeer) {
    this.peer = peer;
  }

  static async dial(port: number): Promise<RawHubPeer> {
    return new RawHubPeer(
      new RawPeer(await dial({ port }, { signal: new AbortController().signal })),
    );
  }

  /** Joins as `identity`, and returns WELCOME or REFUSED. */
  async join(identity: string): Promise<Record<string, unknown> | null> {
    return await this.ask(1, helloOf(identity));
  }

  /** Opens a stream with a frame of the wire, and returns the answer. */
  async ask(id: number, value: object | string): Promise<Record<string, unknown> | null> {
    await this.peer.send(...opening(id, wireFrame(value)));
    return await this.answer(id);
  }

  /** The next frame of the wire on a stream; `null` when the stream or the connection ended instead. */
  async answer(id: number): Promise<Record<string, unknown> | null> {
    for (;;) {
      const bytes = this.#held.get(id) ?? new Uint8Array(0);
      const length = bytes.length < 4
        ? Infinity
        : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      if (bytes.length >= 4 + length) {
        this.#held.set(id, bytes.slice(4 + length));
        return JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
      }
      if (this.#ended.has(id) || !await this.#take()) return null;
    }
  }

  /** The next stream that the hub opens here, with its OPEN. */
  async accept(): Promise<[id: number, open: Record<string, unknown> | null]> {
    while (this.#opened.length === 0) {
      if (!await this.#take()) throw new Error("The hub is gone");
    }
    const id = this.#opened.shift()!;
    await this.peer.send(frame(UPDATE, ACK, id, 0));
    return [id, await this.answer(id)];
  }

  /** Reads until the connection is over. */
  async end(): Promise<void> {
    while (await this.#take());
  }

  [Symbol.dispose](): void {
    this.peer.transport.close();
  }

  /** Takes one frame; false at the end. */
  async #take(): Promise<boolean> {
    const next: RawFrame | null = await settles("a frame of the hub", this.peer.next());
    if (next === null) return false;
    const { type, flags, streamId, body } = next;
    if (type <= UPDATE && flags & SYN) this.#opened.push(streamId);
    if (type === DATA) {
      const before = this.#held.get(streamId) ?? new Uint8Array(0);
      const joined = new Uint8Array(before.length + body.length);
      joined.set(before);
      joined.set(body, before.length);
      this.#held.set(streamId, joined);
    }
    if (type <= UPDATE && flags & (FIN | RST)) this.#ended.add(streamId);
    return true;
  }
}
