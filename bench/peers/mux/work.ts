// Work of the mux races: what a server answers, and the loads, which check all that comes back.
import type { Flow, Session } from "./flows.ts";

/** Bytes of one write in bulk. */
export const BLOCK_BYTES = 65536;
const MESSAGE_BYTES = 64;

/** What all bulk data consists of. */
export const BLOCK: Uint8Array<ArrayBuffer> = new Uint8Array(BLOCK_BYTES).map((_, at) =>
  (at * 167 + (at >> 8)) & 0xff
);

/** Checks bulk data as it comes: where it stands, and samples of what is in it. */
export class BulkCheck {
  /** Bytes so far. */
  bytes = 0;

  /** Takes the next bytes. */
  take(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; at += 4093) this.#compare(chunk, at);
    this.#compare(chunk, chunk.length - 1);
    this.bytes += chunk.length;
  }

  #compare(chunk: Uint8Array, at: number): void {
    const wanted = BLOCK[(this.bytes + at) % BLOCK_BYTES];
    if (chunk[at] !== wanted) {
      throw new Error(`Byte ${this.bytes + at} is ${chunk[at]}, not ${wanted}`);
    }
  }
}

/** The count of bytes as a reply. */
export function encodeCount(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, count);
  return bytes;
}

/** Answers a stream: bulk is checked and counted, anything else comes back as it is. */
export async function answer(flow: Flow, mode: string): Promise<void> {
  if (mode === "bulk") {
    const check = new BulkCheck();
    await flow.receiveBulk((bytes) => check.take(bytes));
    await flow.write(encodeCount(check.bytes));
  } else await flow.receive((bytes) => void flow.write(bytes));
  await flow.closeWrite();
}

/** Sends `bytes` over `streams` streams at once; returns the MiB. */
export async function bulk(session: Session, streams: number, bytes: number): Promise<number> {
  const each = bytes / streams;
  await Promise.all(Array.from({ length: streams }, async () => {
    const flow = await session.open();
    let count = -1;
    const answered = flow.receive((reply) => {
      count = new DataView(reply.buffer, reply.byteOffset).getFloat64(0);
    });
    for (let sent = 0; sent < each; sent += BLOCK_BYTES) await flow.write(BLOCK);
    await flow.closeWrite();
    await answered;
    if (count !== each) throw new Error(`${count} bytes arrived, not ${each}`);
  }));
  return bytes / 2 ** 20;
}

/** Opens, echoes a message, closes, while `goesOn`: with `width` at once. Returns how often. */
export async function churn(
  session: Session,
  width: number,
  goesOn: () => boolean,
): Promise<number> {
  let done = 0;
  const message = new Uint8Array(MESSAGE_BYTES);
  await Promise.all(Array.from({ length: width }, async () => {
    while (goesOn()) {
      const flow = await session.open();
      let bytes = 0;
      const ended = flow.receive((part) => {
        bytes += part.length;
      });
      await flow.write(message);
      await flow.closeWrite();
      await ended;
      if (bytes !== MESSAGE_BYTES) {
        throw new Error(`${bytes} bytes came back, not ${MESSAGE_BYTES}`);
      }
      done += 1;
    }
  }));
  return done;
}

/**
 * One message after the other over one flow, checked; each call of the result sends one and awaits
 * its echo.
 */
function pingPong(flow: Flow): () => Promise<void> {
  const message = new Uint8Array(MESSAGE_BYTES);
  let missing = 0;
  let turn = 0;
  let fulfil = () => {};
  void flow.receive((part) => {
    if (part[0] !== (turn & 0xff)) throw new Error(`Message ${turn} came back as ${part[0]}`);
    missing -= part.length;
    if (missing === 0) fulfil();
  });
  return async () => {
    turn += 1;
    message.fill(turn);
    missing = MESSAGE_BYTES;
    const arrived = new Promise<void>((resolve) => fulfil = resolve);
    await flow.write(message);
    await arrived;
  };
}

/** Opens streams that are idle after they have carried a message each; returns a ping-pong beside. */
export async function openIdle(session: Session, idle: number): Promise<() => Promise<void>> {
  for (let open = 0; open < idle; open += 100) {
    await Promise.all(
      Array.from({ length: 100 }, async () => await pingPong(await session.open())()),
    );
  }
  return pingPong(await session.open());
}

/** Takes turns of a ping-pong while `goesOn`; returns how many there were. */
export async function takeTurns(turn: () => Promise<void>, goesOn: () => boolean): Promise<number> {
  let turns = 0;
  for (; goesOn(); turns++) await turn();
  return turns;
}
