// A server that receives files: a message announces each, its bytes follow without frames, a hash
// in a message ends it.
//
//   deno run --allow-net --allow-read --allow-write examples/file_transfer_server.ts 5557 received/
//
// Send files with file_transfer_client.ts.
import { type Connection, fixedLength, lengthPrefixed, serve } from "@parley/parley";
import { createHash } from "node:crypto";

const [port = "5557", folder = "received"] = Deno.args;
const MAX_FILE_BYTES = 8 * 2 ** 30;
const PIECE_BYTES = 64 * 1024;

function fromJson(message: Uint8Array | null): Record<string, unknown> {
  if (message === null) throw new Error("The client left in the middle of a file");
  return JSON.parse(new TextDecoder().decode(message));
}

/** The next `size` bytes, in pieces; then messages again. No byte of the message behind them is taken. */
async function* body(conn: Connection, size: number): AsyncGenerator<Uint8Array> {
  const rest = size % PIECE_BYTES;
  if (size > rest) conn.setFraming(fixedLength(PIECE_BYTES));
  for (let left = size; left > 0;) {
    if (left === rest) conn.setFraming(fixedLength(rest));
    const piece = await conn.receive();
    if (piece === null) throw new Error("The client left in the middle of a file");
    yield piece;
    left -= piece.length;
  }
  conn.setFraming(lengthPrefixed());
}

async function receiveFile(conn: Connection, header: Record<string, unknown>): Promise<string> {
  const { name, size } = header as { name: string; size: number };
  // A stranger chose these: a plain name in our folder and a size that we have room for, or nothing.
  if (!/^\w[\w.-]{0,200}$/.test(name)) {
    throw new Error("The client sent a name that is no plain file name");
  }
  if (!Number.isInteger(size) || size < 0 || size > MAX_FILE_BYTES) {
    throw new Error("The size is out of range");
  }
  const unfinished = `${folder}/.${conn.id}.part`;
  const hash = createHash("sha256");
  try {
    using file = await Deno.open(unfinished, { write: true, createNew: true });
    const writer = file.writable.getWriter();
    for await (const piece of body(conn, size)) {
      hash.update(piece);
      await writer.write(piece);
    }
    await writer.close(); // small pieces may wait in the writer until then
    const { sha256 } = fromJson(await conn.receive());
    if (hash.digest("hex") !== sha256) {
      return JSON.stringify({ error: "The hash is wrong: send it again" });
    }
    await Deno.rename(unfinished, `${folder}/${name}`);
    console.log(`Received ${name}, ${size} bytes, SHA-256 ${sha256}`);
    return JSON.stringify({ stored: size, sha256 });
  } finally {
    await Deno.remove(unfinished).catch(() => {}); // not there any more when all went well
  }
}

await Deno.mkdir(folder, { recursive: true });
serve({
  port: Number(port),
  onListen: (addr) => console.log("Listening on", addr),
}, async (conn) => {
  for await (const header of conn) await conn.send(await receiveFile(conn, fromJson(header)));
});
