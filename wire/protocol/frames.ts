// Frames of the wire: u32 length and JSON, encoded and read strictly; pure.
import { ProtocolError } from "../../errors.ts";

/** Bytes of a frame's length: u32, big endian. */
export const LENGTH_BYTES = 4;

/**
 * Longest JSON text of a frame, in bytes: room for a few hundred names, small enough to hold for
 * strangers.
 */
export const MAX_FRAME_BYTES: number = 16 * 1024;

/** Version of the protocol, `HELLO.parley`. */
export const WIRE_VERSION = 1;

/** Streams of the joining side that no limit counts: the control stream. */
export const CONTROL_STREAMS = 1;

/** What the opener of a stream says to its handler: any JSON object. */
export type Meta = { readonly [name: string]: unknown };

/** What a side takes, as it says in HELLO, in WELCOME and later; what it does not say is not known. */
export interface Limits {
  /** Streams that the other side may have open, the control stream not among them. */
  readonly maxStreams?: number | undefined;
  /** Window with which each stream begins, in bytes. */
  readonly windowBytes?: number | undefined;
  /** Streams that a hub brings from one peer to another at a time. */
  readonly maxStreamsPerPair?: number | undefined;
}

/** First frame of a session, from the joining side. */
export interface Hello {
  readonly parley: number;
  readonly identity: string;
  readonly token: string;
  readonly streams: readonly string[];
  /** Absent where the peer says nothing: a program in another language. */
  readonly limits?: Limits | undefined;
}

/** Answer to {@linkcode Hello} that lets the session begin. */
export interface Welcome {
  readonly session: string;
  readonly identity: string;
  readonly streams: readonly string[];
  readonly limits?: Limits | undefined;
}

/** Why a session was refused. */
export type SessionRefusal =
  | "ERR_AUTH"
  | "ERR_FORBIDDEN"
  | "ERR_BUSY"
  | "ERR_NAME_TAKEN"
  | "ERR_VERSION";

/** Why a stream was refused. */
export type StreamRefusal =
  | "ERR_NO_HANDLER"
  | "ERR_FORBIDDEN"
  | "ERR_NO_PEER"
  | "ERR_BUSY"
  | "ERR_HANDLER"
  | "ERR_TARGET_REFUSED"
  | "ERR_TARGET_TIMEOUT"
  | "ERR_GOING_AWAY";

/** First frame of a named stream. */
export interface Open {
  readonly name: string;
  readonly to: string | undefined;
  readonly from: string | undefined;
  readonly meta: Meta;
  /** Time in ms for which a hub may hold the stream until the peer that it is for has joined. */
  readonly waitMs: number | undefined;
}

/** Answer to {@linkcode Open}: `code` is absent when the stream was accepted. */
export interface Answer {
  readonly code: StreamRefusal | undefined;
}

/** A change that the control stream carries. */
export interface Control {
  /** Names that the sender now handles. */
  readonly streams: readonly string[] | undefined;
  /** Presence, from a hub: who came or changed, and who went. */
  readonly peers: readonly { readonly identity: string; readonly streams: readonly string[] }[];
  readonly gone: readonly string[];
  /** What the sender takes from now on. */
  readonly limits: Limits | undefined;
  /** The server ends the session for good: the peer that joined must not join again by itself. */
  readonly ended: SessionRefusal | undefined;
}

const SESSION_REFUSALS: readonly string[] = [
  "ERR_AUTH",
  "ERR_FORBIDDEN",
  "ERR_BUSY",
  "ERR_NAME_TAKEN",
  "ERR_VERSION",
];

const STREAM_REFUSALS: readonly string[] = [
  "ERR_NO_HANDLER",
  "ERR_FORBIDDEN",
  "ERR_NO_PEER",
  "ERR_BUSY",
  "ERR_HANDLER",
  "ERR_TARGET_REFUSED",
  "ERR_TARGET_TIMEOUT",
  "ERR_GOING_AWAY",
];

/** A name of a stream or of a peer: 1 to 255 bytes of printable ASCII without spaces. */
const NAME = /^[!-~]{1,255}$/;

/** Longest token, in bytes of UTF-8. */
const MAX_TOKEN_BYTES = 4096;

const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Whether `value` is a code that a stream is refused with. */
export function isStreamRefusal(value: unknown): value is StreamRefusal {
  return STREAM_REFUSALS.includes(value as string);
}

/** Whether `value` can name a stream or a peer. */
export function isName(value: unknown): value is string {
  return typeof value === "string" && NAME.test(value);
}

/** The names of a list that fit in so many bytes of JSON: all of them, or the first ones. */
export function namesWithin(names: readonly string[], maxBytes: number): readonly string[] {
  let bytes = 0;
  for (const [index, name] of names.entries()) {
    bytes += JSON.stringify(name).length + 1;
    if (bytes > maxBytes) return names.slice(0, index);
  }
  return names;
}

/**
 * Checks a name of the caller's.
 *
 * @throws {TypeError} when it is no name
 */
export function checkName(action: string, what: string, value: unknown): string {
  if (isName(value)) return value;
  const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 64)) : typeof value;
  const wanted = "1 to 255 characters of printable ASCII without spaces";
  throw new TypeError(`${action}: "${what}" must be ${wanted}, current value is ${shown}`);
}

/**
 * Checks a token of the caller's.
 *
 * @throws {TypeError} when it is no text, or too long
 */
export function checkToken(action: string, value: unknown): string {
  if (typeof value === "string" && encoder.encode(value).length <= MAX_TOKEN_BYTES) return value;
  throw new TypeError(`${action}: "token" must be a text of at most ${MAX_TOKEN_BYTES} bytes`);
}

/**
 * Checks what the caller says to a handler, before any I/O, and returns it as the handler will see it: an
 * object of its own, which nothing changes while the stream waits to be opened.
 *
 * @throws {TypeError} when it is no object, or holds what JSON or the peer does not take
 * @throws {RangeError} when it does not fit a frame together with the names that go with it
 */
export function checkMeta(
  action: string,
  meta: unknown,
  names: { readonly name: string; readonly to?: string | undefined },
): Meta {
  if (!isPlainObject(meta)) {
    const shown = Array.isArray(meta) ? "an array" : meta === null ? "null" : typeof meta;
    throw new TypeError(`${action}: "meta" must be an object, current value is ${shown}`);
  }
  const text = jsonOf(action, meta);
  if (!text.startsWith("{")) throw new TypeError(`${action}: "meta" must be an object in JSON too`);
  // A hub puts `from` in place of `to`; whatever it is, there must be room for it.
  const room = names.to === undefined ? {} : { from: "-".repeat(255) };
  const around = JSON.stringify({ ...names, ...room, waitMs: 0xffffffff, meta: 0 });
  const bytes = encoder.encode(text).length + around.length;
  if (bytes <= MAX_FRAME_BYTES) return JSON.parse(text);
  throw new RangeError(
    `${action}: "meta" must fit a frame of ${MAX_FRAME_BYTES} bytes with the names, current size is ${bytes}`,
  );
}

function jsonOf(action: string, meta: object): string {
  try {
    return JSON.stringify(meta, (name, member) => {
      if (name === "__proto__") throw new TypeError('a member is named "__proto__"');
      return member;
    }) ?? "";
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(`${action}: "meta" must be what JSON can say: ${why}`, { cause });
  }
}

/**
 * Encodes a frame.
 *
 * @throws {RangeError} when its text is longer than 16 KiB
 */
export function encodeFrame(value: object): Uint8Array {
  const text = encoder.encode(JSON.stringify(value));
  if (text.length > MAX_FRAME_BYTES) {
    throw new RangeError(
      `Cannot send a frame of ${text.length} bytes: at most ${MAX_FRAME_BYTES} fit (names, token and meta count)`,
    );
  }
  const bytes = new Uint8Array(LENGTH_BYTES + text.length);
  new DataView(bytes.buffer).setUint32(0, text.length);
  bytes.set(text, LENGTH_BYTES);
  return bytes;
}

/**
 * Takes one frame off a flow of bytes; what comes behind it is left over for the next reader.
 */
export class FrameBuffer {
  #bytes: Uint8Array = EMPTY;

  /**
   * Adds bytes. Returns the text of a frame once it is whole, else `undefined`. Holds at most one frame and
   * the chunk that ended it.
   *
   * @throws {ProtocolError} `ERR_WIRE_FRAME` when the length is 0 or over the limit, from the header alone
   */
  push(chunk: Uint8Array): Uint8Array | undefined {
    if (this.#bytes.length === 0) this.#bytes = chunk;
    else {
      const joined = new Uint8Array(this.#bytes.length + chunk.length);
      joined.set(this.#bytes);
      joined.set(chunk, this.#bytes.length);
      this.#bytes = joined;
    }
    return this.next();
  }

  /** The next whole frame of what is held, if there is one. */
  next(): Uint8Array | undefined {
    const bytes = this.#bytes;
    if (bytes.length < LENGTH_BYTES) return undefined;
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    if (length === 0 || length > MAX_FRAME_BYTES) {
      const text = `Cannot take a frame of ${length} bytes: 1 to ${MAX_FRAME_BYTES} are allowed`;
      throw new ProtocolError("ERR_WIRE_FRAME", text);
    }
    const end = LENGTH_BYTES + length;
    if (bytes.length < end) return undefined;
    this.#bytes = bytes.subarray(end);
    return bytes.subarray(LENGTH_BYTES, end);
  }

  /** What came behind the last frame; the buffer is empty then. */
  rest(): Uint8Array {
    const rest = this.#bytes;
    this.#bytes = EMPTY;
    return rest;
  }

  /** Whether the input may end here. */
  get atBoundary(): boolean {
    return this.#bytes.length === 0;
  }
}

/** Reads HELLO. @throws {ProtocolError} `ERR_WIRE_FRAME` */
export function readHello(text: Uint8Array): Hello {
  const { parley, identity, token, streams, limits } = parse(text);
  if (typeof parley !== "number" || !isName(identity)) throw malformed("HELLO");
  if (typeof token !== "string" || encoder.encode(token).length > MAX_TOKEN_BYTES) {
    throw malformed("HELLO");
  }
  const names = readNames(streams, "HELLO");
  return { parley, identity, token, streams: names, ...readLimits(limits, "HELLO") };
}

/** Reads WELCOME or REFUSED. @throws {ProtocolError} `ERR_WIRE_FRAME` */
export function readReply(text: Uint8Array): Welcome | { readonly code: SessionRefusal } {
  const { session, identity, streams, limits, code } = parse(text);
  if (code !== undefined) {
    return { code: readSessionRefusal(code, "REFUSED") };
  }
  if (!isName(session) || !isName(identity)) throw malformed("WELCOME");
  const names = readNames(streams, "WELCOME");
  return { session, identity, streams: names, ...readLimits(limits, "WELCOME") };
}

/** Reads OPEN. @throws {ProtocolError} `ERR_WIRE_FRAME` */
export function readOpen(text: Uint8Array): Open {
  const { name, to, from, meta = {}, waitMs } = parse(text);
  if (!isName(name) || !isPlainObject(meta)) throw malformed("OPEN");
  if (to !== undefined && !isName(to)) throw malformed("OPEN");
  if (from !== undefined && !isName(from)) throw malformed("OPEN");
  if (waitMs !== undefined && !(typeof waitMs === "number" && waitMs >= 0)) throw malformed("OPEN");
  return { name, to, from, meta, waitMs };
}

const ACCEPTED: Answer = { code: undefined };

/**
 * Reads ACCEPT or REFUSE. A code that only newer peers know reads as `ERR_HANDLER`.
 *
 * @throws {ProtocolError} `ERR_WIRE_FRAME`
 */
export function readAnswer(text: Uint8Array): Answer {
  // By far the most: `{}`, without a space.
  if (text.length === 2 && text[0] === 0x7b && text[1] === 0x7d) return ACCEPTED;
  const { code } = parse(text);
  if (code === undefined) return { code };
  if (typeof code !== "string") throw malformed("REFUSE");
  return { code: isStreamRefusal(code) ? code : "ERR_HANDLER" };
}

/** Reads a frame of the control stream. @throws {ProtocolError} `ERR_WIRE_FRAME` */
export function readControl(text: Uint8Array): Control {
  const { streams, peers = [], gone = [], limits, ended } = parse(text);
  if (!Array.isArray(peers)) throw malformed("control");
  return {
    streams: streams === undefined ? undefined : readNames(streams, "control"),
    peers: peers.map((peer: unknown) => {
      if (!isPlainObject(peer) || !isName(peer["identity"])) throw malformed("control");
      return { identity: peer["identity"], streams: readNames(peer["streams"], "control") };
    }),
    gone: readNames(gone, "control"),
    limits: readLimits(limits, "control").limits,
    ended: ended === undefined ? undefined : readSessionRefusal(ended, "control"),
  };
}

function readSessionRefusal(code: unknown, frame: string): SessionRefusal {
  if (typeof code !== "string" || !SESSION_REFUSALS.includes(code)) throw malformed(frame);
  return code as SessionRefusal;
}

function readNames(value: unknown, frame: string): readonly string[] {
  if (!Array.isArray(value) || !value.every(isName)) throw malformed(frame);
  return value;
}

function readLimits(value: unknown, frame: string): { readonly limits?: Limits | undefined } {
  if (value === undefined) return {};
  if (!isPlainObject(value)) throw malformed(frame);
  const limits: { -readonly [Name in keyof Limits]: number } = {};
  for (const [name, least, most] of LIMITS) {
    const limit = value[name];
    if (limit === undefined) continue;
    if (!Number.isSafeInteger(limit) || (limit as number) < least) throw malformed(frame);
    limits[name] = Math.min(limit as number, most);
  }
  return { limits };
}

/** Each limit with its least value, and the most that this side makes use of; more counts as that. */
const LIMITS = [
  ["maxStreams", 0, 1 << 20],
  ["windowBytes", 1, 256 * 1024],
  ["maxStreamsPerPair", 1, 1 << 20],
] as const;

/** Parses the object of a frame. A member named `__proto__` is refused wherever it stands. */
function parse(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    const text = decoder.decode(bytes);
    // Without escapes and the word itself there is none, and looking at each member costs most.
    const isPlain = !text.includes("\\") && !text.includes("__proto__");
    value = isPlain ? JSON.parse(text) : JSON.parse(text, refuseProto);
  } catch (cause) {
    throw malformed("that is no JSON", cause);
  }
  if (!isPlainObject(value)) throw malformed("that is no object");
  return value;
}

function refuseProto(name: string, member: unknown): unknown {
  if (name === "__proto__") throw new TypeError("Cannot take a member of this name");
  return member;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(frame: string, cause?: unknown): ProtocolError {
  return new ProtocolError("ERR_WIRE_FRAME", `Cannot read a frame of the peer's (${frame})`, {
    cause,
  });
}
