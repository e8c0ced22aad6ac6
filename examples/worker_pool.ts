// A pool of workers: a dispatcher that shares jobs out to all workers that join. A worker may be
// killed at any time: another worker does its job.
//
//   deno run --allow-net --allow-env=TOKEN examples/worker_pool.ts dispatch 7000 40
//   deno run --allow-net --allow-env=TOKEN examples/worker_pool.ts work 7000 worker-1
//
// Start as many workers as you like, before or after the dispatcher. All of them end when the 40
// jobs are done.
import { answer, call, caller, contract } from "@parley/parley/calls";
import { ParleyError } from "@parley/parley";
import { join, mount, sameToken, type WireSession } from "@parley/parley/wire";
import { z } from "zod";

const [role = "dispatch", port = "7000", third] = Deno.args;
const secret = Deno.env.get("TOKEN") ?? "secret";
const JOB_SIZE = 50_000;

/** What workers answer; the dispatcher calls them. */
const workerCalls = contract({
  countPrimes: call({
    input: z.object({ from: z.int(), to: z.int() }),
    output: z.int(),
    timeoutMs: 20_000, // a worker that hangs loses its job too
  }),
  leave: call(),
}, { name: "worker" });

function work(identity: string): void {
  const wire = join({ port: Number(port), identity, token: secret });
  answer(wire, workerCalls, {
    countPrimes({ from, to }) {
      console.log(`I count the primes from ${from} on`);
      let count = 0;
      for (let n = from; n < to; n++) if (isPrime(n)) count++;
      return count;
    },
    leave: () => void wire.close(), // after the answer has gone
  });
}

async function dispatch(jobs: number): Promise<void> {
  const todo = new Todo(jobs);
  const counts = new Map<number, number>(); // by job: each counts once, even if it was done twice
  const done = Promise.withResolvers<void>();
  const employed: Promise<void>[] = [];

  /** Passes one job after the other to a worker, for as long as it is there. */
  async function employ(session: WireSession): Promise<void> {
    const name = session.identity;
    const worker = caller(session, workerCalls);
    console.log(`${name} is here`);
    for (let job = await todo.take(); job !== undefined; job = await todo.take()) {
      try {
        const from = job * JOB_SIZE;
        counts.set(job, await worker.countPrimes({ from, to: from + JOB_SIZE }));
        console.log(`${name} did job ${job}`);
        if (counts.size === jobs) done.resolve();
      } catch (error) {
        todo.put(job);
        console.log(`${name} lost job ${job}: ${codeOf(error)}`);
        if (session.signal.aborted) return;
      }
    }
    await worker.leave().catch(() => console.log(`${name} is gone`));
  }

  await using wire = mount({
    port: Number(port),
    authorize: ({ token }) => sameToken(token, secret),
    onOpen: (session) => void employed.push(employ(session)),
  });
  await wire.ready;
  console.log("Listening on", wire.addr);
  await done.promise;
  todo.end();
  await Promise.all(employed);
  const primes = [...counts.values()].reduce((sum, count) => sum + count, 0);
  console.log(`${primes} primes below ${jobs * JOB_SIZE}, in ${jobs} jobs`);
}

/** Jobs that no worker has at the moment; workers wait here for one. */
class Todo {
  readonly #jobs: ReadableStreamDefaultReader<number>;
  #queue!: ReadableStreamDefaultController<number>;

  constructor(jobs: number) {
    const stream = new ReadableStream<number>({ start: (queue) => void (this.#queue = queue) });
    this.#jobs = stream.getReader();
    for (let job = 0; job < jobs; job++) this.put(job);
  }

  put(job: number): void {
    this.#queue.enqueue(job);
  }

  /** Waits for a job; `undefined` when all are done. */
  async take(): Promise<number | undefined> {
    return (await this.#jobs.read()).value;
  }

  end(): void {
    this.#queue.close();
  }
}

function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return n > 1;
}

function codeOf(error: unknown): string {
  return error instanceof ParleyError ? error.code : String(error);
}

if (role === "dispatch") await dispatch(Number(third ?? 40));
else work(third ?? `worker-${Deno.pid}`);
