// Sizing: what a server holds per connection that is idle after some traffic. `--connections 2000
// --rounds 3 --json`
import { parseArgs } from "@std/cli/parse-args";
import { connect } from "../../mod.ts";
import { createCa, createCertificate } from "../../tls/mod.ts";
import { join } from "../../wire/mod.ts";
import { spreadOf } from "../race/contest.ts";
import { firstLine, residentBytes, start, stop } from "../race/programs.ts";

const flags = parseArgs(Deno.args, { string: ["connections", "rounds"], boolean: ["json"] });
const connections = Number(flags.connections ?? 2000);
const rounds = Number(flags.rounds ?? 3);

const KINDS = ["TCP", "unix", "TLS", "TLS, deno", "wire, TCP", "wire, TLS"] as const;
const MESSAGE = new Uint8Array(1024).fill(7);

/** What one server of a kind came to. */
interface Size {
  readonly startBytes: number;
  readonly bytesEach: number;
  readonly descriptorsEach: number;
}

const folder = await Deno.makeTempDir({ prefix: "parley-sizing-" });
const ca = await createCa();
const { cert, key } = await createCertificate({ ca, hosts: ["localhost", "127.0.0.1"] });
await Deno.writeTextFile(`${folder}/cert.pem`, cert);
await Deno.writeTextFile(`${folder}/key.pem`, key, { mode: 0o600 });

function descriptors(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** A client that has been answered once; returns the function that ends it. */
async function client(kind: string, address: string, number: number): Promise<() => void> {
  const target = kind === "unix"
    ? { path: address }
    : { hostname: "localhost", port: Number(address) };
  const tls = kind.includes("TLS") ? { tls: { caCerts: [ca.cert] } } : {};
  if (!kind.startsWith("wire")) {
    const conn = await connect({ ...target, ...tls });
    await conn.send(MESSAGE);
    if ((await conn.receive())?.length !== MESSAGE.length) throw new Error("It was not answered");
    return () => conn.abort();
  }
  const wire = join({ ...target, ...tls, identity: `client-${number}` });
  await wire.ready;
  const stream = await wire.open("echo");
  await stream.write(MESSAGE);
  if (await stream.read() === null) throw new Error("It was not answered");
  stream.abort();
  return () => wire.abort();
}

async function measure(kind: string): Promise<Size> {
  const server = start(null, "../sizing/server.ts", [kind, folder, String(connections)]);
  const ends: (() => void)[] = [];
  try {
    const address = await firstLine(server);
    // What a first client brings with it, code above all, is no matter of each connection.
    ends.push(await client(kind, address, -1));
    const [startBytes, before] = [residentBytes(server.pid), descriptors(server.pid)];
    for (let done = 0; done < connections; done += 50) {
      const some = Array.from(
        { length: Math.min(50, connections - done) },
        (_, i) => client(kind, address, done + i),
      );
      ends.push(...await Promise.all(some));
    }
    const bytesEach = (residentBytes(server.pid) - startBytes) / connections;
    return {
      startBytes,
      bytesEach,
      descriptorsEach: (descriptors(server.pid) - before) / connections,
    };
  } finally {
    for (const end of ends) end();
    await stop(server);
  }
}

const sizes = new Map<string, Size[]>(KINDS.map((kind) => [kind, []]));
for (let round = 0; round < rounds; round++) {
  for (const [kind, list] of sizes) list.push(await measure(kind));
}
await Deno.remove(folder, { recursive: true });

if (flags.json) console.log(JSON.stringify({ connections, sizes: Object.fromEntries(sizes) }));
else {
  console.log(`${connections} connections, ${rounds} rounds, Deno ${Deno.version.deno}`);
  console.log("| server | at its start | per connection | descriptors each |");
  console.log("| --- | --- | --- | --- |");
  for (const [kind, list] of sizes) {
    const each = spreadOf(list.map(({ bytesEach }) => bytesEach / 1024));
    const spread = `${each.least.toFixed(0)}–${each.greatest.toFixed(0)}`;
    const startMib = spreadOf(list.map(({ startBytes }) => startBytes / 2 ** 20)).median.toFixed(0);
    const fds = spreadOf(list.map(({ descriptorsEach }) => descriptorsEach)).median.toFixed(2);
    console.log(
      `| ${kind} | ${startMib} MiB | ${each.median.toFixed(0)} KiB (${spread}) | ${fds} |`,
    );
  }
}
Deno.exit(0);
