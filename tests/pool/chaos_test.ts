// Three backends as processes of their own, fifty callers without pause, and what happens to
// backends in real life.
import { assert, assertEquals } from "@std/assert";
import { connect } from "@parley/parley";
import { Pool } from "@parley/parley/pool";
import { Program } from "../support/programs/program.ts";
import { codeOf, lines } from "../support/peers/servers.ts";
import { question, statsOf, until } from "./backends.ts";

const NAMES = ["red", "green", "blue"] as const;
type Name = typeof NAMES[number];

const CALLERS = 50;
/** Longest time in which load must have moved away from a backend that fails. */
const MOVED_MS = 1000;
/** Errors that a caller may see while a backend fails; all others are faults of the pool. */
const EXPECTED = new Set([
  "ERR_READ_TIMEOUT",
  "ERR_RESET",
  "ERR_CLOSED",
  "ERR_CONNECT_REFUSED",
  "ERR_NO_BACKEND",
]);

/** The backends, as processes. */
class Fleet implements AsyncDisposable {
  readonly #programs = new Map<Name, Program>();
  readonly ports = new Map<Name, number>();

  async start(name: Name): Promise<void> {
    const program = new Program("tests/pool/programs/backend.ts", [
      name,
      `${this.ports.get(name) ?? 0}`,
    ]);
    this.#programs.set(name, program);
    this.ports.set(name, await program.port());
  }

  signal(name: Name, signal: Deno.Signal): void {
    this.#programs.get(name)!.kill(signal);
  }

  /** Ends a backend, and waits until it is gone. */
  async end(name: Name, signal: Deno.Signal): Promise<void> {
    this.signal(name, signal);
    await this.#programs.get(name)!.finish();
  }

  async pause(name: Name, ms: number): Promise<void> {
    await using conn = await connect({ port: this.ports.get(name)!, ...lines });
    await question(conn, `pause ${ms}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#programs.keys()) this.signal(name, "SIGCONT");
    await Promise.all(
      [...this.#programs.values()].map((program) => program[Symbol.asyncDispose]()),
    );
  }
}

/** Callers that ask without pause, and keep a record of what they got. */
class Load {
  readonly #pool: Pool;
  readonly #callers: Promise<void>[];
  #going = true;
  answers = 0;
  readonly wrong: string[] = [];
  readonly errors = new Map<string, number>();
  /** When each backend last got work, and how many answers it sent. */
  readonly lastLeaseAtMs = new Map<string, number>();
  readonly answersOf = new Map<string, number>();

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#callers = Array.from({ length: CALLERS }, (_, caller) => this.#call(caller));
  }

  get errorCount(): number {
    return [...this.errors.values()].reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#callers);
  }

  async #call(caller: number): Promise<void> {
    for (let i = 0; this.#going; i++) {
      try {
        await this.#ask(`${caller}-${i}`);
      } catch (error) {
        const code = codeOf(error);
        this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
      }
    }
  }

  async #ask(what: string): Promise<void> {
    await this.#pool.use(async (conn, { lease: { backend } }) => {
      this.lastLeaseAtMs.set(backend, performance.now());
      await conn.send(what);
      const answer = await conn.receive({ timeoutMs: 300 });
      if (answer === null) throw new DOMException("It hung up", "TimeoutError");
      const text = new TextDecoder().decode(answer);
      if (text !== `${backend} ${what}`) this.wrong.push(`${text} for ${what} of ${backend}`);
      this.answers++;
      this.answersOf.set(backend, (this.answersOf.get(backend) ?? 0) + 1);
    }, { retries: 3 });
  }
}

/** What one fault did. */
interface Report {
  readonly fault: string;
  readonly movedAfterMs: number;
  readonly backAfterMs: number;
  readonly failedLeases: number;
  readonly errors: number;
}

Deno.test("Pool under 50 callers: a backend killed, stopped, made slow, restarted gives no wrong answer, and load moves", async () => {
  await using fleet = new Fleet();
  await Promise.all(NAMES.map((name) => fleet.start(name)));
  await using pool = new Pool({
    ...lines,
    backends: NAMES.map((name) => ({ name, port: fleet.ports.get(name)! })),
    maxPerBackend: CALLERS,
    breaker: { failures: 5, openMs: 200 },
    outliers: { intervalMs: 200, ejectMs: 400 },
    health: {
      intervalMs: 200,
      timeoutMs: 400,
      check: async (conn) => (await question(conn, "well?")).endsWith(" well?"),
    },
  });
  const load = new Load(pool);
  const reports: Report[] = [];
  const answered = (name: Name) => load.answersOf.get(name) ?? 0;
  const isBack = async (name: Name) => {
    const before = answered(name);
    await until(() => statsOf(pool, name).state === "ready" && answered(name) > before + 100);
  };
  const fault = async (
    what: string,
    name: Name,
    begin: () => unknown,
    end: () => unknown,
    state: readonly string[],
  ) => {
    const { errorCount, answers } = load;
    const { leasesFailed } = statsOf(pool, name);
    const atMs = performance.now();
    await begin();
    await until(() => state.includes(statsOf(pool, name).state));
    const others = () =>
      NAMES.filter((each) => each !== name).reduce((sum, each) => sum + answered(each), 0);
    const before = others();
    await until(() => others() > before + 500); // the others go on
    const lastLeaseMs = load.lastLeaseAtMs.get(name)! - atMs;
    const endAtMs = performance.now();
    await end();
    await isBack(name);
    assert(load.answers > answers + 500);
    reports.push({
      fault: what,
      movedAfterMs: Math.round(Math.max(0, lastLeaseMs)),
      backAfterMs: Math.round(performance.now() - endAtMs),
      failedLeases: statsOf(pool, name).leasesFailed - leasesFailed,
      errors: load.errorCount - errorCount,
    });
  };
  for (const name of NAMES) await isBack(name);
  const down = ["unwell", "open", "half-open"];
  await fault("killed", "red", () => fleet.end("red", "SIGKILL"), () => fleet.start("red"), down);
  await fault(
    "stopped",
    "green",
    () => fleet.signal("green", "SIGSTOP"),
    () => fleet.signal("green", "SIGCONT"),
    down,
  );
  await fault("slow", "blue", () => fleet.pause("blue", 200), () => fleet.pause("blue", 0), [
    ...down,
    "ejected",
  ]);
  await fault(
    "restarted",
    "red",
    () => fleet.end("red", "SIGTERM"),
    () => fleet.start("red"),
    down,
  );
  await load.stop();

  assertEquals(load.wrong, []);
  for (const code of load.errors.keys()) assert(EXPECTED.has(code), `A caller got ${code}`);
  for (const { fault, movedAfterMs, failedLeases, errors } of reports) {
    assert(movedAfterMs <= MOVED_MS, `${fault}: load moved after ${movedAfterMs} ms`);
    // Each caller may lose the lease that it held, and the next one before the circuit opened.
    assert(failedLeases <= 2 * CALLERS, `${fault}: ${failedLeases} leases failed`);
    assert(errors <= CALLERS, `${fault}: callers got ${errors} errors`);
  }
  if (Deno.env.has("PARLEY_REPORT")) {
    console.table(reports);
    console.log(`${load.answers} answers, ${pool.stats().retries} retries, errors:`, load.errors);
  }
});
