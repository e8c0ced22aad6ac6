// Programs of a race: starts them on a core, reads what they print, and ends them.

/** Cores to pin a process to, as `taskset -c` takes them; `null` leaves that to the system. */
export type Cores = "0" | "1" | "0,1" | null;

let taskset: boolean | undefined;

/** Returns whether processes can be pinned to cores. */
export function canPin(): boolean {
  taskset ??= navigator.hardwareConcurrency > 1 && isAtHand("taskset", "-V");
  return taskset;
}

/** Returns whether a program can be run; `flag` makes it print its version. */
export function isAtHand(program: string, flag: string): boolean {
  try {
    new Deno.Command(program, { args: [flag], stdout: "null", stderr: "null" }).outputSync();
    return true;
  } catch {
    return false;
  }
}

/** What runs a file of `bench/peers`, unless a race says otherwise. */
const DENO: readonly string[] = [Deno.execPath(), "run", "-A", "--no-check"];
const PEERS = new URL("../peers/", import.meta.url);

/** Starts a file of `bench/peers`. */
export function start(
  cores: Cores,
  file: string,
  args: readonly string[],
  runtime: readonly string[] = DENO,
): Deno.ChildProcess {
  return startLine(cores, [...runtime, new URL(file, PEERS).pathname, ...args]);
}

/** Starts any program. */
export function startLine(cores: Cores, program: readonly string[]): Deno.ChildProcess {
  const line = cores !== null && canPin() ? ["taskset", "-c", cores, ...program] : program;
  return new Deno.Command(line[0]!, { args: line.slice(1), stdout: "piped", stderr: "inherit" })
    .spawn();
}

/** Reads the first line that a program prints. */
export async function firstLine(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`The program ended before it said anything: "${text}"`);
    text += value;
  }
  void (async () => {
    while (!(await reader.read()).done);
  })();
  return text.slice(0, text.indexOf("\n"));
}

/** Ends a program that we started. */
export async function stop(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await child.status;
}

/** A load that takes longer than this has failed. */
const LOAD_TIMEOUT_MS = 120_000;

/** Runs a program to its end and returns what it printed, as JSON. */
export async function result<T>(child: Deno.ChildProcess): Promise<T> {
  const timer = setTimeout(() => void stop(child), LOAD_TIMEOUT_MS);
  try {
    const text = await new Response(child.stdout).text();
    const { success } = await child.status;
    if (!success) throw new Error(`A load program failed: "${text.slice(0, 200)}"`);
    return JSON.parse(text) as T;
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  return 1024 * Number(/VmRSS:\s+(\d+) kB/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]);
}
