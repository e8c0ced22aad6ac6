// One side of a session whose reader stops, as a process of its own: `receive`, or `send <port>`.
import { MuxSession, type MuxStream } from "@parley/parley/mux";
import { dial } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";

/** Streams that stall, and streams that flow. */
const STALLED = 8;
const FLOWING = 8;
const CHUNK = new Uint8Array(65_536).fill(7);
const MIB = 1 << 20;

const { signal } = new AbortController();

/** Reads every stream but the ones that begin with "s". */
async function receive(): Promise<void> {
  const listener = await listen({ port: 0 });
  if (listener.addr.transport !== "tcp") throw new Error("No port");
  console.log(`port: ${listener.addr.port} `);
  const incoming = await listener.accept();
  const session = new MuxSession(await incoming!.open({ signal }), { role: "server" });
  const running: Promise<void>[] = [];
  for await (const stream of session) running.push(take(stream));
  await Promise.all(running);
  listener.close();
}

async function take(stream: MuxStream): Promise<void> {
  const [kind] = await stream.read() ?? [];
  if (kind === "s".charCodeAt(0)) return void await stream.closed;
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) {
    collect(chunk.length);
  }
  await stream.closeWrite();
}

let uncollected = 0;

/** What was read is garbage; it goes at once, so that only what is held is measured. */
function collect(bytes: number): void {
  uncollected += bytes;
  if (uncollected < 8 * MIB) return;
  uncollected = 0;
  (globalThis as { gc?: () => void }).gc?.();
}

/** Sends without end on the streams that stall, and a given number of bytes on the others. */
async function send(port: number): Promise<void> {
  const session = new MuxSession(await dial({ port }, { signal }), { role: "client" });
  await flow(session, 64 * MIB);
  console.log("warm");
  for await (const _ of Deno.stdin.readable) break;
  let taken = 0;
  for (let count = 0; count < STALLED; count++) {
    const stream = await session.openStream();
    await stream.write(new TextEncoder().encode("s"));
    void (async () => {
      for (;; taken += CHUNK.length) await stream.write(CHUNK);
    })().catch(() => {});
  }
  await flow(session, 256 * MIB);
  console.log(`taken: ${taken} `);
  // Until it is killed.
  await session.closed;
}

async function flow(session: MuxSession, bytes: number): Promise<void> {
  await Promise.all(Array.from({ length: FLOWING }, async () => {
    const stream = await session.openStream();
    await stream.write(new TextEncoder().encode("f"));
    for (let sent = 0; sent < bytes / FLOWING; sent += CHUNK.length) await stream.write(CHUNK);
    await stream.close();
  }));
}

const [what, port] = Deno.args;
if (what === "receive") await receive();
else await send(Number(port));
