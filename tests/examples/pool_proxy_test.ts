// The TLS proxy example before three backends, as processes.
import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { connect, type Connection, ParleyError, raw } from "@parley/parley";
import { createCa, createCertificate, writeIdentity } from "@parley/parley/tls";
import { descriptorsOf, residentBytesOf } from "../support/programs/process_stats.ts";
import { Program } from "../support/programs/program.ts";
import { effort } from "../support/random.ts";
import { until } from "../pool/backends.ts";

import { atRest } from "../support/wait.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

const MIB = 1 << 20;
const IS_LINUX = Deno.build.os === "linux";

/** Certificates in a folder, as the proxy wants them; returns the authority's. */
async function certificatesIn(folder: string): Promise<string> {
  const ca = await createCa({ name: "Test CA" });
  const server = await createCertificate({ ca, hosts: ["localhost"] });
  await writeIdentity({
    ...server,
    certFile: `${folder}/server.pem`,
    keyFile: `${folder}/server.key`,
  });
  return ca.cert;
}

/** All that comes on a connection. */
async function textOf(conn: Connection): Promise<string> {
  let text = "";
  for await (const chunk of conn) text += new TextDecoder().decode(chunk);
  return text;
}

/** Three backends, the proxy in front of them, and who may be trusted. */
class Site implements AsyncDisposable {
  readonly backends: Program[];
  readonly folder = new TempDir();
  proxy!: Program;
  port = 0;
  caCert = "";

  constructor(pauseMs: number) {
    this.backends = Array.from(
      { length: 3 },
      () => new Program("tests/pool/programs/sink.ts", [`${pauseMs}`]),
    );
  }

  static async open(pauseMs = 0): Promise<Site> {
    const site = new Site(pauseMs);
    site.caCert = await certificatesIn(site.folder.path);
    const ports = await Promise.all(site.backends.map((backend) => backend.port()));
    site.proxy = new Program("examples/tls_proxy.ts", [
      "0",
      site.folder.path,
      ...ports.map(String),
    ]);
    site.port = await site.proxy.port();
    return site;
  }

  /** A connection through the proxy. */
  connect(): Promise<Connection> {
    const tls = { caCerts: [this.caCert] };
    return connect({
      hostname: "localhost",
      port: this.port,
      tls,
      framing: raw(),
      writeTimeoutMs: 60_000,
    });
  }

  /** Sends bytes through the proxy; returns their hash as the backend has it. */
  async send(chunks: Iterable<Uint8Array>): Promise<string> {
    await using conn = await this.connect();
    for (const chunk of chunks) {
      await conn.send(chunk);
      await conn.flush();
    }
    await conn.closeWrite();
    return await textOf(conn);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy?.[Symbol.asyncDispose]();
    await Promise.all(this.backends.map((backend) => backend[Symbol.asyncDispose]()));
    await this.folder[Symbol.asyncDispose]();
  }
}

/** Pieces of bytes that are all different, and their hash. */
function* hashed(mebibytes: number, hash: ReturnType<typeof createHash>): Generator<Uint8Array> {
  const words = new Uint32Array(MIB / 8);
  for (let piece = 0; piece < mebibytes * 2; piece++) {
    for (let i = 0; i < words.length; i++) {
      words[i] = Math.imul(i + piece * words.length, 0x9e3779b1);
    }
    const bytes = new Uint8Array(words.buffer.slice(0));
    hash.update(bytes);
    yield bytes;
  }
}

Deno.test(
  "tls_proxy carries every byte to a slow receiver, and stays small",
  { ignore: !IS_LINUX },
  async () => {
    await using site = await Site.open(8);
    const mebibytes = 64 * effort; // PARLEY_FUZZ_RUNS=16 sends 1 GiB
    await site.send(hashed(8, createHash("sha256"))); // warm: code is compiled, buffers have their size
    const { pid } = site.proxy;
    const before = residentBytesOf(pid);
    let most = before;
    const sampling = setInterval(() => most = Math.max(most, residentBytesOf(pid)), 20);
    const hash = createHash("sha256");
    const begin = performance.now();
    const answer = await site.send(hashed(mebibytes, hash)).finally(() => clearInterval(sampling));
    assertEquals(answer, hash.digest("hex"));
    // Garbage waits for its collection; however much is sent, it stays below this.
    assert(most - before < 256 * MIB, `It grew by ${Math.round((most - before) / MIB)} MiB`);
    if (Deno.env.has("PARLEY_REPORT")) {
      const seconds = (performance.now() - begin) / 1000;
      const [from, to] = [before, most].map((bytes) => Math.round(bytes / MIB));
      console.log(
        `${mebibytes} MiB in ${
          seconds.toFixed(1)
        } s; resident: ${from} MiB before, ${to} MiB at most`,
      );
    }
  },
);

Deno.test("tls_proxy stops its sender when a receiver stops", { ignore: !IS_LINUX }, async () => {
  await using site = await Site.open();
  const { backends } = site;
  for (const backend of backends) backend.kill("SIGSTOP");
  await using conn = await site.connect();
  const hash = createHash("sha256");
  let sent = 0;
  const sending = (async () => {
    for (const chunk of hashed(64, hash)) {
      await conn.send(chunk);
      await conn.flush();
      sent += chunk.length;
    }
    await conn.closeWrite();
  })();
  const held = await atRest(() => sent, 400);
  for (const backend of backends) backend.kill("SIGCONT");
  // The kernel's buffers on both ways, and one queue in the proxy.
  assert(
    held > 0 && held < 32 * MIB,
    `${Math.round(held / MIB)} MiB were taken for a receiver that takes nothing`,
  );
  await sending;
  assertEquals(await textOf(conn), hash.digest("hex"));
});

Deno.test(
  "tls_proxy frees every descriptor of many short connections",
  { ignore: !IS_LINUX },
  async () => {
    await using site = await Site.open();
    const hello = new TextEncoder().encode("hello");
    const wanted = createHash("sha256").update(hello).digest("hex");
    const many = async (count: number) => {
      let left = count;
      await Promise.all(Array.from({ length: 16 }, async () => {
        while (left-- > 0) assertEquals(await site.send([hello]), wanted);
      }));
    };
    const { pid } = site.proxy;
    await many(50);
    await until(() => descriptorsOf(pid) < 100);
    const before = descriptorsOf(pid);
    await many(200 * effort); // PARLEY_FUZZ_RUNS=50 makes 10 000
    await until(() => descriptorsOf(pid) <= before);
    for (const backend of site.backends) await until(() => descriptorsOf(backend.pid) < 40);
  },
);

Deno.test("tls_proxy serves on when a backend is killed, drains at SIGTERM, and tells its numbers", async () => {
  await using site = await Site.open();
  const hello = new TextEncoder().encode("hello");
  const wanted = createHash("sha256").update(hello).digest("hex");
  for (let i = 0; i < 6; i++) assertEquals(await site.send([hello]), wanted);
  site.backends[0]!.kill("SIGKILL");
  await site.backends[0]!.finish();
  for (let i = 0; i < 20; i++) assertEquals(await site.send([hello]), wanted);

  await using late = await site.connect();
  await late.send(hello);
  await late.flush();
  site.proxy.kill("SIGTERM");
  await until(() => late.status !== "open" || late.stats().bytesOut === 5);
  await late.closeWrite();
  const answer = await textOf(late);
  assert(
    answer === wanted || answer === "",
    "The one that was open may end, or be cut in order: never half an answer",
  );
  const { stdout, code } = await site.proxy.finish();
  assertEquals(code, 0);
  const stats = JSON.parse(stdout.trim().split("\n").at(-1)!);
  assertEquals([stats.kind, stats.state, stats.backends.length], ["pool", "closed", 3]);
});

Deno.test("tls_proxy tells no client more than that when every backend is down", async () => {
  await using site = await Site.open();
  for (const backend of site.backends) {
    backend.kill("SIGKILL");
    await backend.finish();
  }
  const error = await site.send([new TextEncoder().encode("hello")]).catch((error) => error);
  assert(error === "" || error instanceof ParleyError);
  await site.proxy.said(/^handler /m);
});
