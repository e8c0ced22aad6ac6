// A program for the test of many short connections: they go through a hub to one machine, half of
// them end by a reset of their client, and beside them another caller talks over one connection and
// a third one downloads, from the same machine.
//
// Arguments: how many connections, and how many MiB are downloaded. It prints what became of all as JSON.
import { createHash, type Hash } from "node:crypto";
import { expose, type Forward, forward, hub, join, type JoinedWire } from "@parley/parley/wire";
import { dial } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";
import type { Listener, Transport } from "../../net/transport/transport.ts";

const [connections = 1000, mebibytes = 100] = Deno.args.map(Number);
const MIB = 1 << 20;
const CLIENTS = 16;
const never: AbortSignal = new AbortController().signal;
const ends: string[] = [];
const errors: Record<string, number> = {};

const portOf = ({ addr }: Listener | Forward) => addr.transport === "tcp" ? addr.port : 0;

/** Serves each connection of a new port. */
async function target(serve: (conn: Transport) => Promise<void>): Promise<number> {
  const listener = await listen({ port: 0 });
  void (async () => {
    for (let next = await listener.accept(); next !== null; next = await listener.accept()) {
      void next.open({ signal: never }).then(serve).catch(() => {});
    }
  })();
  return portOf(listener);
}

async function echo(conn: Transport): Promise<void> {
  try {
    for (let chunk = await conn.read(); chunk !== null; chunk = await conn.read()) {
      await conn.write(chunk);
    }
  } finally {
    conn.close();
  }
}

const block = crypto.getRandomValues(new Uint8Array(65_536));
const sent: Hash = createHash("sha256");

async function serveFile(conn: Transport): Promise<void> {
  await conn.read();
  for (let left = mebibytes * MIB; left > 0; left -= block.length) {
    new DataView(block.buffer).setFloat64(0, left);
    sent.update(block);
    await conn.write(block);
  }
  await conn.closeWrite();
}

const server = hub({ insecureAnyone: true });
await server.ready;
const member = async (identity: string): Promise<JoinedWire> => {
  const onClose = (_session: unknown, error: Error | undefined) =>
    void ends.push(`${identity}: ${error}`);
  const wire = join({ ...server.addr, identity, onClose });
  await wire.ready;
  return wire;
};
const office = await member("office");
expose(office, "echo", { port: await target(echo) });
expose(office, "file", { port: await target(serveFile) });
const tunnelOf = async (identity: string, name: string): Promise<number> => {
  const onError = (error: unknown) => {
    const key = `${identity}: ${error instanceof Error && "code" in error ? error.code : error}`;
    errors[key] = (errors[key] ?? 0) + 1;
  };
  return portOf(await forward(await member(identity), name, { to: "office", onError }));
};
const dialTo = (port: number) => dial({ port }, { signal: never, canReset: true });

let begun = 0;
let done = 0;
let served = 0;
/** Wakes the download. */
let onDone = () => {};

/** One client after the other; each other one hangs up by a reset: at once, after an answer, or amid one. */
async function shortOnes(port: number): Promise<void> {
  for (let n = begun++; n < connections; n = begun++) {
    const conn = await dialTo(port);
    try {
      if (n % 2 === 0) {
        if (n % 3 > 0) await conn.write(new Uint8Array(n % 3 === 1 ? 1 : 50_000));
        if (n % 3 > 0) await conn.read();
        conn.reset?.();
      } else {
        await conn.write(new Uint8Array([n]));
        await conn.closeWrite();
        const answer = await conn.read();
        if (answer?.[0] === (n & 255) && await conn.read() === null) served++;
      }
    } catch (error) {
      errors[`client: ${error}`] = (errors[`client: ${error}`] ?? 0) + 1;
    } finally {
      conn.close();
    }
    done++;
    onDone();
  }
}

/** Says something and hears it back, until all others are done. */
async function talk(port: number): Promise<{ echoes: number; slowestMs: number }> {
  const conn = await dialTo(port);
  let echoes = 0;
  let slowestMs = 0;
  while (done < connections) {
    const startMs = performance.now();
    await conn.write(new Uint8Array(64).fill(echoes));
    for (let left = 64; left > 0;) {
      const chunk = await conn.read();
      if (chunk === null || chunk[0] !== (echoes & 255)) throw new Error("The talk broke");
      left -= chunk.length;
    }
    echoes++;
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await conn.closeWrite();
  if (await conn.read() !== null) throw new Error("The talk did not end in order");
  conn.close();
  return { echoes, slowestMs };
}

/** Downloads no faster than the short ones come to their end, so that it is under way beside all of them. */
async function download(port: number): Promise<{ bytes: number; hashEqual: boolean }> {
  const conn = await dialTo(port);
  await conn.write(new Uint8Array(1));
  const got = createHash("sha256");
  let bytes = 0;
  for (let chunk = await conn.read(); chunk !== null; chunk = await conn.read()) {
    got.update(chunk);
    bytes += chunk.length;
    while (done < connections && bytes / (mebibytes * MIB) > (done + CLIENTS) / connections) {
      await new Promise<void>((resolve) => onDone = resolve);
    }
  }
  conn.close();
  return { bytes, hashEqual: got.digest("hex") === sent.digest("hex") };
}

const [carolPort, davePort, erinPort] = [
  await tunnelOf("carol", "echo"),
  await tunnelOf("dave", "echo"),
  await tunnelOf("erin", "file"),
];
const startMs = performance.now();
let mostMib = 0;
const watch = setInterval(() => mostMib = Math.max(mostMib, Deno.memoryUsage().rss / MIB), 100);
const [talked, downloaded] = await Promise.all([
  talk(davePort),
  download(erinPort),
  ...Array.from({ length: CLIENTS }, () => shortOnes(carolPort)),
]);
clearInterval(watch);
const figures = {
  seconds: (performance.now() - startMs) / 1000,
  mostMib: Math.max(mostMib, Deno.memoryUsage().rss / MIB),
};
console.log(JSON.stringify({ served, ...talked, ...downloaded, ends, errors, ...figures }));
Deno.exit(0);
