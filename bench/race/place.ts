// Place of a run: its folder with certificates, its settings, and the turns of servers and loads in it.
import { createCa, createCertificate } from "../../tls/mod.ts";
import type { Contest, Turn } from "./contest.ts";
import { type Cores, firstLine, isAtHand, result, start, startLine, stop } from "./programs.ts";

/** How long and how often contestants work. */
export interface Settings {
  /** Time of a turn in s, after it has warmed up. */
  readonly seconds: number;
  /** Turns of each contestant. */
  readonly pairs: number;
  /** Whether counts and sizes are a tenth as well. */
  readonly quick: boolean;
}

/** Why a contestant in Go cannot take part. */
export const NO_GO = "its Go program cannot be built here";

/** A program of a turn. */
export interface Program {
  /** Path in `bench/peers`, or an absolute one; empty for a program that `runtime` names whole. */
  readonly file: string;
  readonly args: readonly string[];
  /** What runs the file, Deno by default. */
  readonly runtime?: readonly string[] | undefined;
  /** Port where a program listens that does not print it. */
  readonly port?: number | undefined;
  /** Cores of a server, "0" by default, of a load "1". */
  readonly cores?: Cores | undefined;
}

/** A server that runs on between turns, which costs it nothing. */
interface KeptServer {
  readonly child: Deno.ChildProcess;
  readonly address: string;
}

/** Where races run. */
export class Place implements AsyncDisposable {
  readonly settings: Settings;
  /** Path of a temporary folder, with `ca.pem`, `cert.pem` and `key.pem`. */
  readonly folder: string;
  readonly #goPrograms = new Map<string, string | null>();
  /** Servers that serve all turns of a contest. */
  readonly #kept = new Map<string, KeptServer>();
  #servers = 0;

  private constructor(settings: Settings, folder: string) {
    this.settings = settings;
    this.folder = folder;
  }

  /** Makes the folder and the certificates. */
  static async open(settings: Settings): Promise<Place> {
    const folder = await Deno.makeTempDir({ prefix: "parley-race-" });
    const ca = await createCa();
    const { cert, key } = await createCertificate({ ca, hosts: ["localhost", "127.0.0.1"] });
    await Deno.writeTextFile(`${folder}/ca.pem`, ca.cert);
    await Deno.writeTextFile(`${folder}/cert.pem`, cert);
    await Deno.writeTextFile(`${folder}/key.pem`, key, { mode: 0o600 });
    return new Place(settings, folder);
  }

  /** Returns a path for a unix socket that no turn has used. */
  socketPath(): string {
    return `${this.folder}/${this.#servers++}.sock`;
  }

  /** Starts a server, lets `use` work with it, and ends it. The server prints its address first. */
  async withServer<T>(
    server: Program,
    use: (address: string, pid: number) => Promise<T>,
  ): Promise<T> {
    const child = launch(server, "0");
    try {
      const { port } = server;
      const address = port === undefined ? await firstLine(child) : await whenOpen(port);
      return await use(address, child.pid);
    } finally {
      await stop(child);
    }
  }

  /**
   * Lets `use` work with a server that stays for all turns of a contest. One that has just started
   * spends its time on compiling, so `use` runs once before it counts. `name` tells the servers of a
   * contest apart.
   */
  async withWarmServer<T>(
    name: string,
    server: () => Program,
    use: (address: string, pid: number) => Promise<T>,
  ): Promise<T> {
    let kept = this.#kept.get(name);
    if (kept === undefined) {
      const child = launch(server(), "0");
      kept = { child, address: await firstLine(child) };
      this.#kept.set(name, kept);
      await use(kept.address, child.pid);
    }
    return await use(kept.address, kept.child.pid);
  }

  /** Ends the servers that were kept: a contest is over. */
  async endServers(): Promise<void> {
    for (const { child } of this.#kept.values()) await stop(child);
    this.#kept.clear();
  }

  /** Runs a load to its end; it prints what it measured as JSON. */
  async load(load: Program): Promise<Turn> {
    return await result<Turn>(launch(load, "1"));
  }

  /**
   * Returns the path of a program of `bench/peers/go`, built on the first call, or `null` where
   * that is not possible.
   */
  async goProgram(name: string): Promise<string | null> {
    const known = this.#goPrograms.get(name);
    if (known !== undefined) return known;
    const path = isAtHand("go", "version") ? await this.#build(name) : null;
    this.#goPrograms.set(name, path);
    return path;
  }

  async #build(name: string): Promise<string | null> {
    const path = `${this.folder}/go-${name}`;
    const source = new URL(`../peers/go/${name}.go`, import.meta.url).pathname;
    const { success, stderr } = await new Deno.Command("go", {
      args: ["build", "-o", path, source],
      // Debian's packages of Go libraries lie there.
      env: { GO111MODULE: "off", GOPATH: `${this.folder}/gopath:/usr/share/gocode`, GOFLAGS: "" },
    }).output();
    if (!success) console.error(new TextDecoder().decode(stderr));
    return success ? path : null;
  }

  /** Ends what runs still, and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.endServers();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Waits until a connection to a port is possible. */
async function whenOpen(port: number): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return String(port);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  throw new Error(`Nothing listens on port ${port}`);
}

function launch(program: Program, cores: Cores): Deno.ChildProcess {
  const { file, args, runtime } = program;
  const pinned = program.cores === undefined ? cores : program.cores;
  return file === ""
    ? startLine(pinned, [...runtime ?? [], ...args])
    : start(pinned, file, args, runtime);
}

/** One subject of the races: a file of `subjects/`. */
export interface Subject {
  /** Its name, which every one of its works begins with. */
  readonly name: string;
  /** Title of its table. */
  readonly title: string;
  /** What is done, what it is compared to and why, in sentences. */
  readonly about: string;
  /** Its contests. */
  contests(place: Place): readonly Contest[];
}
