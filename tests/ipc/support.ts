// What the tests of IPC share: seeded randomness, hex, channels of their own, and a transport that
// is watched.
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { Transport } from "../../net/transport/transport.ts";

/** Bytes as lower-case hex. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Hex as bytes. */
export function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** A random source that repeats with its seed (xorshift32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed >>> 0) || 1;
  }

  /** 0 to `end` - 1. */
  below(end: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % end;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}

/** The seed of this run: fixed, so that a gate is never red by chance; `PARLEY_SEED` sets another. */
export function newSeed(): number {
  return Number(Deno.env.get("PARLEY_SEED") ?? 1);
}

/** Joins byte arrays. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** What a man in the middle does with each piece of bytes; `null` cuts the line. */
export type Tamper = (
  bytes: Uint8Array,
  index: number,
) => Uint8Array | readonly Uint8Array[] | null;

/** A client and a server transport with a man in the middle who sees and may change every write. */
export interface TappedLine {
  readonly client: Transport;
  readonly server: Transport;
  readonly fromClient: Uint8Array[];
  readonly fromServer: Uint8Array[];
  /** Settles when both directions have ended. */
  readonly done: Promise<void>;
  /** Frees the middle. */
  close(): void;
}

/** Makes a line over memory pairs. */
export function tappedLine(tamper: { client?: Tamper; server?: Tamper } = {}): TappedLine {
  const [client, clientEnd] = memoryPair({ bufferBytes: 1 << 22 });
  const [server, serverEnd] = memoryPair({ bufferBytes: 1 << 22 });
  const fromClient: Uint8Array[] = [];
  const fromServer: Uint8Array[] = [];
  const pass = async (
    from: Transport,
    to: Transport,
    seen: Uint8Array[],
    change: Tamper | undefined,
  ) => {
    try {
      for (;;) {
        const bytes = await from.read();
        if (bytes === null) break;
        seen.push(bytes);
        const changed = change === undefined ? bytes : change(bytes, seen.length - 1);
        if (changed === null) break;
        for (const piece of changed instanceof Uint8Array ? [changed] : changed) {
          await to.write(piece);
        }
      }
    } catch {
      // an end is an end
    }
    await to.closeWrite().catch(() => {});
  };
  const done = Promise.all([
    pass(clientEnd, serverEnd, fromClient, tamper.client),
    pass(serverEnd, clientEnd, fromServer, tamper.server),
  ]).then(() => {});
  const close = () => {
    for (const end of [client, server, clientEnd, serverEnd]) end.close();
  };
  return { client, server, fromClient, fromServer, done, close };
}

/** Runs with environment variables changed, `undefined` for unset, and puts them back. */
export async function inEnv(
  change: Record<string, string | undefined>,
  run: () => Promise<unknown>,
): Promise<void> {
  const before = Object.keys(change).map((name) => [name, Deno.env.get(name)] as const);
  const set = ([name, value]: readonly [string, string | undefined]) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  try {
    Object.entries(change).forEach(set);
    await run();
  } finally {
    before.forEach(set);
  }
}
