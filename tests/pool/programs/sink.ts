// A backend for the tests of the proxy: reads all that comes, slowly on request, and answers with
// its SHA-256.
import { createHash } from "node:crypto";

const [pauseMs = "0", port = "0"] = Deno.args;
/** Bytes after which it pauses. */
const PAUSE_EACH = 1 << 20;

const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(port) });
console.log("Listening on", listener.addr);

async function serve(conn: Deno.Conn): Promise<void> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(65536);
  let sincePause = 0;
  for (;;) {
    const length = await conn.read(buffer);
    if (length === null) break;
    hash.update(buffer.subarray(0, length));
    sincePause += length;
    if (sincePause < PAUSE_EACH || pauseMs === "0") continue;
    sincePause = 0;
    await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)));
  }
  await conn.write(new TextEncoder().encode(hash.digest("hex")));
  conn.close();
}

for await (const conn of listener) serve(conn).catch(() => conn.close());
