// Leftovers: ends what programs have started and left behind, in whatever session or group it runs.
import { pause } from "../../../async/pause.ts";

/** Time in ms that a process has to end after SIGTERM. */
const GRACE_MS = 1000;

/** Shortest and longest time between two looks at the processes of the system, in ms. */
const [LEAST_MS, MOST_MS] = [20, 250];

/** Time in ms to the next look where there was nothing to end. */
const AGAIN_MS = 100;

/**
 * Looks after the grace at processes that do not end, such as those of another user; then they are
 * left alone.
 */
const MOST_LOOKS = 20;

/** A thread of several in which programs run for one command. */
export interface RunningThread {
  /** What {@linkcode newFamily} returned: all threads have the same. */
  readonly family: string;
  /**
   * Number of the thread, from 1: it looks after its own runs alone.
   *
   * @default {none} the main thread, which looks after the runs of all
   */
  readonly worker?: number | undefined;
}

/** Returns a name for the runs of one command that no other has. */
export function newFamily(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

/** One process that a run of a program has started, itself included. */
interface Marked {
  readonly pid: number;
  /** Number of the client for whom the program ran. */
  readonly client: number;
  /** Number of the run. */
  readonly run: number;
}

/**
 * Finds and ends what programs leave behind. A process group does not hold all of it: `setsid`
 * leaves the group, and a process whose parent has ended is no child of ours. So each run has a
 * mark in its environment, which all that it starts inherits; on Linux the environments of
 * processes can be read. What clears its environment on purpose is not found.
 */
export class Leftovers {
  /** Name of the mark, and the pattern of all names that are looked for. */
  readonly #name: string;
  readonly #names: string;
  /** Clients that are still there. */
  readonly #clients = new Set<number>();
  /** Runs that were ended before their client was gone, until what they left is ended, too. */
  readonly #endedRuns = new Set<number>();
  /** Processes that were asked to end, and when. */
  readonly #asked = new Map<number, number>();
  #used: boolean;
  #again = false;
  #sweeping: Promise<void> | null = null;

  /** Looks for nothing yet; `among` says with whom the runs are shared. */
  constructor(among?: RunningThread) {
    const { family, worker } = among ?? { family: newFamily() };
    this.#name = `PARLEY_RUN_${family}_${worker ?? 0}`;
    this.#names = `PARLEY_RUN_${family}_${worker ?? "[0-9]+"}`;
    this.#used = among !== undefined;
  }

  /** What the environment of a run must hold. */
  mark(client: number, run: number): Record<string, string> {
    this.#used = true;
    this.#clients.add(client);
    return { [this.#name]: `${client}:${run}` };
  }

  /** Ends in the background what is left of a run that was ended. */
  endRun(run: number): void {
    this.#endedRuns.add(run);
    void this.#sweep();
  }

  /** Ends in the background what is left of all runs for a client that is gone. */
  endClient(client: number): void {
    if (this.#clients.delete(client)) void this.#sweep();
  }

  /** Ends what is left of all runs, and waits until it has ended. */
  async endAll(): Promise<void> {
    this.#clients.clear();
    if (this.#used) await this.#sweep();
  }

  /** Kills what is left of all runs, without waiting. */
  killAll(): void {
    if (!this.#used || !canLook()) return;
    try {
      const { stdout } = this.#look().outputSync();
      for (const { pid } of read(stdout)) signal(pid, "SIGKILL");
    } catch {
      // There is nothing to look with.
    }
  }

  /**
   * Looks, and ends what it finds, until there is none. One at a time: who asks meanwhile waits for
   * one more look.
   */
  #sweep(): Promise<void> {
    this.#again = true;
    return this.#sweeping ??= this.#sweepAll();
  }

  async #sweepAll(): Promise<void> {
    if (!canLook()) return;
    await this.#lookUntilNone();
    this.#asked.clear();
    this.#endedRuns.clear();
    this.#sweeping = null;
  }

  async #lookUntilNone(): Promise<void> {
    let [waitMs, looks] = [LEAST_MS, 0];
    while (looks < MOST_LOOKS) {
      this.#again = false;
      const runs = new Set(this.#endedRuns);
      const found = await this.#found();
      const left = found.filter(({ client, run }) => !this.#clients.has(client) || runs.has(run));
      const late = left.filter(({ pid }) => this.#endOne(pid)).length;
      for (const pid of this.#asked.keys()) {
        if (!left.some((process) => process.pid === pid)) this.#asked.delete(pid);
      }
      if (left.length === 0) {
        for (const run of runs) this.#endedRuns.delete(run);
        if (!this.#again) return;
        // Clients that come and go all the time are no reason to look all the time.
        waitMs = AGAIN_MS;
      }
      if (late > 0) looks++;
      await pause(waitMs);
      waitMs = Math.min(MOST_MS, waitMs * 2);
    }
  }

  /** Asks a process to end; kills it, and returns `true`, once it had its time. */
  #endOne(pid: number): boolean {
    const askedMs = this.#asked.get(pid);
    if (askedMs === undefined) {
      this.#asked.set(pid, performance.now());
      signal(pid, "SIGTERM");
      return false;
    }
    if (performance.now() - askedMs < GRACE_MS) return false;
    signal(pid, "SIGKILL");
    return true;
  }

  async #found(): Promise<readonly Marked[]> {
    try {
      return read((await this.#look().output()).stdout);
    } catch {
      // There is nothing to look with, or we may not: groups were ended all the same.
      return [];
    }
  }

  /**
   * Reads the environments of all processes. By a program: the platform lets us read them only with
   * all permissions.
   */
  #look(): Deno.Command {
    const script = `exec grep -HzosE '^${this.#names}=[0-9]+:[0-9]+' /proc/[0-9]*/environ`;
    // In this locale, whatever bytes an environment holds are text.
    return new Deno.Command("/bin/sh", {
      args: ["-c", script],
      env: { LC_ALL: "C" },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    });
  }
}

function canLook(): boolean {
  return Deno.build.os === "linux";
}

function read(output: Uint8Array): readonly Marked[] {
  const found = new TextDecoder().decode(output)
    .matchAll(/\/proc\/(\d+)\/environ:PARLEY_RUN_[0-9a-f]+_\d+=(\d+):(\d+)/g);
  return [...found].map(([, pid, client, run]) => ({
    pid: Number(pid),
    client: Number(client),
    run: Number(run),
  }));
}

function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // It ended in between.
  }
}
