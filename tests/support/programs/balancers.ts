// Balancers: nginx and HAProxy from Debian, run with the configurations that stand in docs/operations.md.
import { file } from "./program.ts";
import { TempDir } from "./temp_dir.ts";
import { until } from "../wait.ts";

/** Which program stands before the servers. */
export type BalancerKind = "haproxy" | "nginx";

/** Where one server behind a balancer listens. */
export interface Backend {
  readonly port: number;
  /** Where its statistics page is; without it, HAProxy checks the port itself. */
  readonly statsPort?: number | undefined;
}

/** The two servers, at the addresses of the documentation. */
const DOCUMENTED_HOSTS = ["10.0.0.11", "10.0.0.12"] as const;

/** How each program is run in the foreground; `[FOLDER]` is where its configuration is. */
const COMMANDS: Readonly<Record<BalancerKind, readonly [string, ...string[]]>> = {
  haproxy: ["haproxy", "-db", "-f", "[FOLDER]/haproxy.cfg"],
  nginx: [
    "nginx",
    "-e",
    "stderr",
    "-p",
    "[FOLDER]",
    "-c",
    "[FOLDER]/nginx.cfg",
    "-g",
    "daemon off; pid nginx.pid;",
  ],
};

/** A running balancer before two servers of this machine. Disposing it ends it. */
export class Balancer implements AsyncDisposable {
  /** Where clients connect to. */
  readonly port: number;
  readonly #child: Deno.ChildProcess;
  readonly #folder: TempDir;
  readonly #said: Promise<string>;

  private constructor(port: number, child: Deno.ChildProcess, folder: TempDir) {
    this.port = port;
    this.#child = child;
    this.#folder = folder;
    this.#said = new Response(child.stderr).text();
  }

  /**
   * Starts one with the documented configuration, in which only addresses and ports are others.
   *
   * @param change What a test wants to be different
   */
  static async start(
    kind: BalancerKind,
    backends: readonly [Backend, Backend],
    change: (config: string) => string = (config) => config,
  ): Promise<Balancer> {
    const port = freePort();
    const folder = new TempDir();
    const config = fill(change(documentedConfig(kind)), port, backends);
    await Deno.writeTextFile(`${folder.path}/${kind}.cfg`, config);
    const [command, ...args] = COMMANDS[kind].map((part) => part.replace("[FOLDER]", folder.path));
    const balancer = new Balancer(port, spawn(command!, args), folder);
    try {
      await until(`${kind} listens`, () => isListening(port));
    } catch (error) {
      await balancer[Symbol.asyncDispose]();
      throw new Error(`${kind} does not start: ${await balancer.#said}`, { cause: error });
    }
    return balancer;
  }

  /** Ends it at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // SIGTERM is the fast end of both; nginx would leave its workers behind at SIGKILL.
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    await this.#said;
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** The configuration of a program as docs/operations.md has it. */
export function documentedConfig(kind: BalancerKind): string {
  const page = Deno.readTextFileSync(file("docs/operations.md"));
  const config = page.match(new RegExp("^```" + kind + "\\n(.*?)^```$", "ms"))?.[1];
  if (config === undefined) throw new Error(`docs/operations.md has no configuration of ${kind}`);
  return config;
}

/** Puts this machine's ports in place of the documented addresses; fails when one was not there. */
function fill(config: string, port: number, backends: readonly [Backend, Backend]): string {
  let filled = replaced(config, /^(\s*(?:bind|listen)) :?5555/m, `$1 127.0.0.1:${port}`);
  for (const [index, host] of DOCUMENTED_HOSTS.entries()) {
    const { port: backendPort, statsPort } = backends[index]!;
    const address = new RegExp(`server (?:\\w+ )?${host.replaceAll(".", "\\.")}:5555[^\\n]*`);
    const line = address.exec(filled)?.[0] ?? "";
    const own = line.replace(`${host}:5555`, `127.0.0.1:${backendPort}`)
      .replace("port 9100", statsPort === undefined ? "" : `port ${statsPort}`);
    filled = replaced(filled, address, own);
  }
  return filled;
}

function replaced(text: string, what: RegExp, by: string): string {
  if (!what.test(text)) throw new Error(`The documented configuration lacks ${what}`);
  return text.replace(what, by);
}

function spawn(command: string, args: readonly string[]): Deno.ChildProcess {
  try {
    return new Deno.Command(command, {
      args: [...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    })
      .spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(
      `This test needs ${command}: apt-get install haproxy nginx libnginx-mod-stream, as .ci/run does`,
      { cause: error },
    );
  }
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ port })).close();
    return true;
  } catch {
    return false;
  }
}

/** A port that was free a moment ago. */
function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return listener.addr.port;
}
