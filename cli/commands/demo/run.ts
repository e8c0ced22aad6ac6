// DemoRun: the steps of the demo, one after the other, and the processes that take part.
import { pause } from "../../../async/pause.ts";
import { connect } from "../../../client.ts";
import type { Connection } from "../../../connection.ts";
import { TlsError } from "../../../errors.ts";
import { createCa, createCertificate, writeIdentity } from "../../../tls/mod.ts";
import { count, duration, paint, Progress, rate, say } from "../../output/talk.ts";
import { checkCalls } from "./calls_part.ts";
import type { Checks } from "./checks.ts";
import { Part } from "./part.ts";
import {
  answeredFile,
  type DemoFiles,
  demoFiles,
  encodeJson,
  readIds,
  SERVER_NAME,
  Sha256,
} from "./protocol.ts";

const FILE_BYTES = 64 * 2 ** 20;
const CLIENTS = 50;
const CLIENT_PROCESSES = 2;
const MESSAGES = 10_000;

/** How long the clients send without pause before the server has to drain, in ms. */
const RUSH_MS = 700;

/** Validity of the demo's certificates, in days: the shortest that is whole. */
const CERTIFICATE_DAYS = 1;

/** Random bytes are made so many at a time: the most that one call returns. */
const RANDOM_BYTES = 65_536;

/** What one run of the demo needs. */
export interface DemoRunOptions {
  /** Folder for certificates and files, which the caller removes. */
  readonly folder: string;
  /** Where the claims go. */
  readonly checks: Checks;
  /** Text file whose lines are sent; Parley's README when absent. */
  readonly text: string | undefined;
  /** Faults that the server makes on purpose. */
  readonly faults: readonly string[];
  /** Ends everything. */
  readonly signal: AbortSignal;
}

/** One run. Disposing of it ends all its processes. */
export class DemoRun implements AsyncDisposable {
  readonly #options: DemoRunOptions;
  readonly #files: DemoFiles;
  readonly #checks: Checks;
  readonly #parts: Part[] = [];
  #steps = 0;
  #port = 0;

  /** Nothing is started yet. */
  constructor(options: DemoRunOptions) {
    this.#options = options;
    this.#files = demoFiles(options.folder);
    this.#checks = options.checks;
    options.signal.addEventListener("abort", this.#killAll);
  }

  /** All steps. */
  async all(): Promise<void> {
    say(paint("Parley demo: a TLS server in one process, its clients in others.", "bold"));
    await this.#makeCertificates();
    const server = await this.#startServer();
    await this.#sendLines();
    await this.#sendFile();
    await this.#makeCalls();
    await this.#drain(server, await this.#sendMessages(server));
  }

  /** Ends all processes; their errors are printed when a check failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#options.signal.removeEventListener("abort", this.#killAll);
    await Promise.all(this.#parts.map((part) => part[Symbol.asyncDispose]()));
    if (this.#checks.held) return;
    for (const part of this.#parts) {
      const said = await part.said;
      if (said !== "") say(`\nThe process "${part.name}" said:\n${said}`);
    }
  }

  async #makeCertificates(): Promise<void> {
    this.#step("Certificates: an authority, one for the server, one for the clients");
    const { ca: caFile, serverCert, serverKey, clientCert, clientKey } = this.#files;
    const startedAtMs = performance.now();
    const ca = await createCa({ name: "Parley demo", days: CERTIFICATE_DAYS });
    const server = await createCertificate({ ca, hosts: [SERVER_NAME, "127.0.0.1"] });
    const client = await createCertificate({ ca, client: true, name: "demo client" });
    await Deno.writeTextFile(caFile, ca.cert);
    await writeIdentity({ ...server, certFile: serverCert, keyFile: serverKey });
    await writeIdentity({ ...client, certFile: clientCert, keyFile: clientKey });
    this.#checks.that(
      `made in ${duration(performance.now() - startedAtMs)}, valid for a day`,
      true,
    );
  }

  async #startServer(): Promise<Part> {
    this.#step("A server that lets in only clients with such a certificate");
    const { faults } = this.#options;
    const server = this.#start("server", faults.length === 0 ? [] : ["--fault", faults.join(",")]);
    this.#port = (await server.expect("listening")).port;
    this.#checks.that(`process ${server.pid} listens on 127.0.0.1:${this.#port}`, true);
    this.#checks.that("a client without a certificate is refused", await this.#isStrangerRefused());
    return server;
  }

  /**
   * Whether a client without a certificate gets not one byte of an answer. With TLS 1.3 it learns that it is
   * refused when it first reads, not when it connects.
   */
  async #isStrangerRefused(): Promise<boolean> {
    let conn: Connection;
    try {
      const tls = { caFile: this.#files.ca, serverName: SERVER_NAME };
      conn = await connect({ port: this.#port, tls });
    } catch (error) {
      return error instanceof TlsError;
    }
    await conn.send(encodeJson({ task: "lines" })).catch(() => {});
    await conn.closeWrite().catch(() => {});
    await conn.receive({ timeoutMs: 5000 }).catch(() => {});
    const { bytesIn, state } = conn.stats();
    conn.abort();
    return bytesIn === 0 && state !== "open";
  }

  async #sendLines(): Promise<void> {
    const text = await this.#textFile();
    this.#step(`The lines of ${text.name}, delimited by line feeds`);
    const part = this.#start("lines", [`${this.#port}`, text.path]);
    const { protocol } = await part.expect("connected");
    const { sent, wrong, receipt } = await part.expect("lines");
    const hash = new Sha256();
    hash.update(text.content);
    this.#checks.that(
      `${count(sent)} lines came back unchanged and in order over ${protocol ?? "TLS"}`,
      wrong === 0,
    );
    this.#checks.that(
      `the server counted ${count(receipt.lines)} lines with the file's own SHA-256`,
      receipt.lines === sent && receipt.sha256 === hash.hex(),
    );
  }

  async #sendFile(): Promise<void> {
    this.#step(`A file of ${FILE_BYTES / 2 ** 20} MiB, without frames, between two messages`);
    const original = await this.#makeFile();
    const mebibytes = (bytes: number) =>
      `${Math.floor(bytes / 2 ** 20)} of ${FILE_BYTES / 2 ** 20} MiB`;
    using progress = new Progress(FILE_BYTES, mebibytes);
    const part = this.#start("file", [`${this.#port}`], (done) => progress.update(done));
    const { sha256, ms, receipt } = await part.expect("file");
    progress[Symbol.dispose]();
    const stored = await hashFile(this.#files.received);
    this.#checks.that(
      `sent, received and stored file have one SHA-256: ${original.slice(0, 16)}…`,
      [sha256, receipt.sha256, stored].every((hash) => hash === original),
    );
    this.#checks.that(
      `${count(receipt.bytes)} bytes in ${duration(ms)}, ${rate(receipt.bytes, ms)}`,
      receipt.bytes === FILE_BYTES,
    );
  }

  async #makeCalls(): Promise<void> {
    this.#step("Typed calls: through a hub, and over a channel of this machine");
    const { folder } = this.#options;
    const start = (port: number) => this.#start("calls", [`${port}`]);
    await checkCalls({ folder, checks: this.#checks, start });
  }

  /** Returns the processes with the clients, which are still connected. */
  async #sendMessages(server: Part): Promise<Part[]> {
    this.#step(
      `${count(MESSAGES)} messages from ${CLIENTS} clients in ${CLIENT_PROCESSES} processes`,
    );
    using progress = new Progress(
      MESSAGES,
      (done) => `${count(done)} of ${count(MESSAGES)} answered`,
    );
    const done = Array.from({ length: CLIENT_PROCESSES }, () => 0);
    const loads = done.map((_, i) => {
      const args = [
        `${this.#port}`,
        `${i}`,
        `${CLIENTS / CLIENT_PROCESSES}`,
        `${MESSAGES / CLIENTS}`,
      ];
      return this.#start("load", args, (value) => {
        done[i] = value;
        progress.update(done.reduce((sum, one) => sum + one, 0));
      });
    });
    await Promise.all(loads.map((load) => load.expect("connected")));
    const startedAtMs = performance.now();
    await Promise.all(loads.map((load) => load.order("count")));
    const results = await Promise.all(loads.map((load) => load.expect("answered")));
    const ms = performance.now() - startedAtMs;
    await server.order("count");
    const { handled } = await server.expect("handled");
    progress[Symbol.dispose]();

    const answered = results.reduce((sum, result) => sum + result.answered, 0);
    const wrong = results.reduce((sum, result) => sum + result.wrong, 0);
    const latencies = results.flatMap((result) => result.latenciesMs).sort((a, b) => a - b);
    const within = (share: number) =>
      (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(1);
    this.#checks.that(
      `${count(answered)} answered in ${duration(ms)}, each in order and with the right content`,
      answered === MESSAGES && wrong === 0,
    );
    this.#checks.that(`${count(handled)} handled, as the server counted`, handled === MESSAGES);
    say(
      `     time to an answer, 8 in flight: half within ${within(0.5)} ms, 99 % within ${
        within(0.99)
      } ms`,
    );
    return loads;
  }

  /** The heart of it: what was answered was handled, what was handled was answered, nothing twice. */
  async #drain(server: Part, loads: readonly Part[]): Promise<void> {
    this.#step(`Drain, while all ${CLIENTS} clients send without pause`);
    await Promise.all(loads.map((load) => load.order("rush")));
    await pause(RUSH_MS);
    await server.order("drain");
    const drained = await server.expect("drained");
    const ends = await Promise.all(loads.map((load) => load.expect("ended")));
    const failures = ends.flatMap((end) => end.failures);
    this.#checks.that(
      `${drained.connections} busy connections ended in order, in ${duration(drained.ms)}` +
        (drained.error === null ? "" : `: ${drained.error}`),
      drained.error === null && drained.connections === CLIENTS,
    );
    this.#checks.that(
      `every client saw an orderly end` + (failures.length === 0 ? "" : `, but for ${failures[0]}`),
      failures.length === 0,
    );
    const handled = await readIds(this.#files.handled);
    const answered =
      (await Promise.all(loads.map((_, i) => readIds(answeredFile(this.#options.folder, i)))))
        .flatMap((
          ids,
        ) => [...ids]);
    const handledOnce = new Set(handled);
    const answeredOnce = new Set(answered);
    this.#checks.that(
      `${count(answered.length)} messages in all were answered, and each of them was handled`,
      answered.length > MESSAGES && answeredOnce.isSubsetOf(handledOnce),
    );
    this.#checks.that(
      `${count(handled.length)} were handled, and each of them was answered`,
      handledOnce.isSubsetOf(answeredOnce),
    );
    this.#checks.that(
      "none was handled or answered twice",
      handledOnce.size === handled.length && answeredOnce.size === answered.length,
    );
  }

  /** Fills a file with random bytes; returns its hash. */
  async #makeFile(): Promise<string> {
    using progress = new Progress(
      FILE_BYTES,
      (bytes) => `${Math.floor(bytes / 2 ** 20)} MiB made up`,
    );
    using file = await Deno.open(this.#files.sent, { write: true, create: true });
    const hash = new Sha256();
    const piece = new Uint8Array(RANDOM_BYTES);
    for (let made = 0; made < FILE_BYTES; made += piece.length) {
      this.#options.signal.throwIfAborted();
      crypto.getRandomValues(piece);
      hash.update(piece);
      for (let at = 0; at < piece.length;) at += await file.write(piece.subarray(at));
      progress.update(made);
    }
    return hash.hex();
  }

  /** The text whose lines are sent, and its file. */
  async #textFile(): Promise<{ name: string; path: string; content: string }> {
    const { text, folder } = this.#options;
    const url = new URL("../../../README.md", import.meta.url);
    const given = text ?? (url.protocol === "file:" ? url : await (await fetch(url)).text());
    const path = `${folder}/text.txt`;
    const content = text === undefined && typeof given === "string"
      ? given
      : await Deno.readTextFile(given);
    const whole = content.endsWith("\n") ? content : `${content}\n`;
    await Deno.writeTextFile(path, whole);
    return { name: text ?? "README.md", path, content: whole };
  }

  #start(name: string, args: readonly string[], onProgress?: (done: number) => void): Part {
    this.#options.signal.throwIfAborted();
    const part = new Part(name, ["--folder", this.#options.folder, ...args], onProgress);
    this.#parts.push(part);
    return part;
  }

  #step(title: string): void {
    this.#options.signal.throwIfAborted();
    say(paint(`\n${++this.#steps}. ${title}`, "bold"));
  }

  readonly #killAll = (): void => {
    for (const part of this.#parts) part.kill();
  };
}

async function hashFile(path: string): Promise<string> {
  const hash = new Sha256();
  using file = await Deno.open(path);
  for await (const piece of file.readable) hash.update(piece);
  return hash.hex();
}
