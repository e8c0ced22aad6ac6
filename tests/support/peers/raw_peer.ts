// A peer that knows nothing of Parley: bytes over a socket, as netcat has it.

/** Sends bytes in pieces, ends its direction, and returns all that came back as text. */
export async function tcpExchange(
  port: number,
  bytes: Uint8Array,
  pieceBytes = 7,
): Promise<string> {
  using socket = await Deno.connect({ port });
  const writing = (async () => {
    // Small pieces for short input, so that lines are cut where they must not matter.
    const size = bytes.length > 4096 ? bytes.length : pieceBytes;
    for (let at = 0; at < bytes.length; at += size) {
      await writeAll(socket, bytes.subarray(at, at + size));
    }
    await socket.closeWrite();
  })().catch(() => {}); // the far end may have had enough
  const text = await readToEnd(socket);
  await writing;
  return text;
}

/** All that a socket delivers until its end, as text; a reset is an end too. */
export async function readToEnd(socket: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let text = "";
  for (;;) {
    const length = await socket.read(buffer).catch(() => null);
    if (length === null) return text + decoder.decode();
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

/** Writes all bytes. */
export async function writeAll(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}
