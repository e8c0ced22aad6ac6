// Raw: the shortest loops that move bulk bytes over a connection, the baseline of the mux races.
import { BLOCK, BLOCK_BYTES, BulkCheck, encodeCount } from "./work.ts";

/** Either end of a connection, without anything on top; a transport is one as it is. */
export interface RawEnd {
  /** Waits for the next bytes. */
  read(): Promise<Uint8Array | null>;
  /** Writes all bytes. */
  write(bytes: Uint8Array): Promise<void>;
}

/** The end of a connection of Deno's: reads go into the same buffer again and again. */
export function rawConn(conn: Deno.Conn): RawEnd {
  const buffer = new Uint8Array(BLOCK_BYTES);
  return {
    async read() {
      const count = await conn.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
    },
    async write(bytes) {
      for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
    },
  };
}

/** Takes rounds of the given sizes and answers each with its count. */
export async function sinkRaw(end: RawEnd, rounds: readonly number[]): Promise<void> {
  for (const bytes of rounds) {
    const check = new BulkCheck();
    while (check.bytes < bytes) {
      const chunk = await end.read();
      if (chunk === null) throw new Error(`The load ended after ${check.bytes} bytes`);
      check.take(chunk);
    }
    await end.write(encodeCount(check.bytes));
  }
}

/** Sends a round and returns its MiB. */
export async function bulkRaw(end: RawEnd, bytes: number): Promise<number> {
  for (let sent = 0; sent < bytes; sent += BLOCK_BYTES) await end.write(BLOCK);
  const reply = await end.read();
  const count = reply === null ? -1 : new DataView(reply.buffer, reply.byteOffset).getFloat64(0);
  if (count !== bytes) throw new Error(`${count} bytes arrived, not ${bytes}`);
  return bytes / 2 ** 20;
}
