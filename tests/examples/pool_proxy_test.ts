import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { connect, ParleyError, raw } from "@parley/parley";
import { createCa, createCertificate, writeIdentity } from "@parley/parley/tls";
import { descriptors, residentBytes } from "../support/process_size.ts";
import { Program } from "../support/program.ts";
import { effort } from "../support/random.ts";
import { until } from "../support/servers.ts";
import { TempDir } from "../support/temp_dir.ts";

const MIB = 1 << 20;
const IS_LINUX = Deno.build.os === "linux";

/** Certificates in a folder, as the proxy wants them; gives the authority's. */
async function certificatesIn(folder: string): Promise<string> {
  const ca = await createCa({ name: "Test CA" });
  const server = await createCertificate({ ca, hosts: ["localhost"] });
  await writeIdentity({ ...server, certFile: `${folder}/server.pem`, keyFile: `${folder}/server.key` });
  return ca.cert;
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
    site.proxy = new Program("examples/tls_proxy.ts", ["0", site.folder.path, ...ports.map(String)]);
    site.port = await site.proxy.port();
    return site;
  }

  /** Sends bytes through the proxy; gives their hash as the backend has it. */
  async send(chunks: Iterable<Uint8Array>): Promise<string> {
    const tls = { caCerts: [this.caCert] };
    await using conn = await connect({ hostname: "localhost", port: this.port, tls, framing: raw() });
    for (const chunk of chunks) {
      await conn.send(chunk);
      await conn.flush();
    }
    await conn.closeWrite();
    let answer = "";
    for await (const chunk of conn) answer += new TextDecoder().decode(chunk);
    return answer;
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
    for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + piece * words.length, 0x9e3779b1);
    const bytes = new Uint8Array(words.buffer.slice(0));
    hash.update(bytes);
    yield bytes;
  }
}

Deno.test(
  "tls_proxy carries every byte to a slow receiver, and holds few of them",
  { ignore: !IS_LINUX },
  async () => {
    await using site = await Site.open(8);
    const megabytes = 64 * effort; // PARLEY_FUZZ_RUNS=16 sends 1 GiB
    await site.send(hashed(16, createHash("sha256"))); // warm: code is compiled, buffers have their size
    const { pid } = site.proxy;
    const before = residentBytes(pid);
    let most = before;
    const sampling = setInterval(() => most = Math.max(most, residentBytes(pid)), 20);
    const hash = createHash("sha256");
    const begin = performance.now();
    const answer = await site.send(hashed(megabytes, hash)).finally(() => clearInterval(sampling));
    assertEquals(answer, hash.digest("hex"));
    assert(most - before < 64 * MIB, `It grew by ${Math.round((most - before) / MIB)} MiB`);
    if (Deno.env.has("PARLEY_REPORT")) {
      const seconds = (performance.now() - begin) / 1000;
      console.log(
        `${megabytes} MiB in ${seconds.toFixed(1)} s, ${before / MIB | 0} MiB before, ${
          most / MIB | 0
        } at most`,
      );
    }
  },
);

Deno.test("tls_proxy leaves nothing behind after many short connections", { ignore: !IS_LINUX }, async () => {
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
  await many(100);
  await until(() => descriptors(pid) < 100, 10_000);
  const before = { descriptors: descriptors(pid), bytes: residentBytes(pid) };
  const count = 300 * effort; // PARLEY_FUZZ_RUNS=34 makes 10 000
  await many(count);
  await until(() => descriptors(pid) <= before.descriptors, 10_000);
  const grownMib = (residentBytes(pid) - before.bytes) / MIB;
  assert(grownMib < 64, `It grew by ${grownMib} MiB`);
  for (const backend of site.backends) await until(() => descriptors(backend.pid) < 40, 10_000);
  if (Deno.env.has("PARLEY_REPORT")) {
    console.log(
      `${count} connections, ${before.descriptors} descriptors before and after, ${
        grownMib.toFixed(1)
      } MiB more`,
    );
  }
});

Deno.test("tls_proxy serves on when a backend is killed, drains at SIGTERM, and tells its numbers", async () => {
  await using site = await Site.open();
  const hello = new TextEncoder().encode("hello");
  const wanted = createHash("sha256").update(hello).digest("hex");
  for (let i = 0; i < 6; i++) assertEquals(await site.send([hello]), wanted);
  site.backends[0]!.kill("SIGKILL");
  await site.backends[0]!.finish();
  for (let i = 0; i < 20; i++) assertEquals(await site.send([hello]), wanted);

  const tls = { caCerts: [site.caCert] };
  await using late = await connect({ hostname: "localhost", port: site.port, tls, framing: raw() });
  await late.send(hello);
  await late.flush();
  site.proxy.kill("SIGTERM");
  await until(() => late.state !== "open" || late.stats().bytesOut === 5);
  await late.closeWrite();
  let answer = "";
  for await (const chunk of late) answer += new TextDecoder().decode(chunk);
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
