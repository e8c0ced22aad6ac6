// Load of the echo race: `load.ts <backend> <address> <folder> <json>` sends frames, checks what
// comes back, prints JSON.

/** What to do. */
interface Plan {
  readonly connections: number;
  readonly inFlight: number;
  readonly messageBytes: number;
  readonly seconds: number;
  readonly framing: "lines" | "lengths";
}

const [backend, address, folder, json] = Deno.args as [string, string, string, string];
const plan = JSON.parse(json) as Plan;
const caCerts = backend.startsWith("tls") ? [Deno.readTextFileSync(`${folder}/ca.pem`)] : [];

async function dial(): Promise<Deno.Conn> {
  if (backend === "unix") return await Deno.connect({ transport: "unix", path: address });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(address) });
  conn.setNoDelay(true);
  if (caCerts.length === 0) return conn;
  const tls = await Deno.startTls(conn, { hostname: "localhost", caCerts });
  await tls.handshake();
  return tls;
}

function makeFrame(): Uint8Array {
  const { messageBytes, framing } = plan;
  const body = Uint8Array.from({ length: messageBytes }, (_, index) => 97 + index % 26);
  const frame = new Uint8Array(messageBytes + (framing === "lines" ? 1 : 4));
  if (framing === "lines") {
    frame.set(body);
    frame[messageBytes] = 10;
  } else {
    new DataView(frame.buffer).setUint32(0, messageBytes);
    frame.set(body, 4);
  }
  return frame;
}

const frame = makeFrame();
const burst = new Uint8Array(frame.length * plan.inFlight);
for (let at = 0; at < burst.length; at += frame.length) burst.set(frame, at);

/**
 * Whether `bytes` continue the echo at `offset`: all of it is compared, the whole burst at once
 * when it came so.
 */
function matches(bytes: Uint8Array, offset: number): boolean {
  for (let at = 0; at < bytes.length; at += 61) if (bytes[at] !== burst[offset + at]) return false;
  return bytes.length === 0 || bytes[bytes.length - 1] === burst[offset + bytes.length - 1];
}

async function run(conn: Deno.Conn, endAt: number): Promise<number> {
  const buffer = new Uint8Array(65536);
  let messages = 0;
  while (performance.now() < endAt) {
    const written = (async () => {
      for (let at = 0; at < burst.length;) at += await conn.write(burst.subarray(at));
    })();
    for (let got = 0; got < burst.length;) {
      const n = await conn.read(buffer);
      if (n === null) throw new Error("The server closed the connection");
      if (!matches(buffer.subarray(0, n), got)) {
        throw new Error("The echo differs from what was sent");
      }
      got += n;
    }
    await written;
    messages += plan.inFlight;
  }
  return messages;
}

const conns: Deno.Conn[] = [];
for (let i = 0; i < plan.connections; i++) conns.push(await dial());
const warmUp = performance.now() + 500;
await Promise.all(conns.map((conn) => run(conn, warmUp)));
const startAt = performance.now();
const counts = await Promise.all(conns.map((conn) => run(conn, startAt + plan.seconds * 1000)));
const seconds = (performance.now() - startAt) / 1000;
for (const conn of conns) conn.close();
console.log(JSON.stringify({ perSecond: counts.reduce((sum, count) => sum + count, 0) / seconds }));
Deno.exit(0);
