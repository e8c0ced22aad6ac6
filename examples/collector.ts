// A collector: five agents measure how fast their machines hash, and report each result. Both sides
// answer calls: the collector takes results, and follows and questions each agent meanwhile.
//
//   deno run --allow-net --allow-env=TOKEN examples/collector.ts collect 7000 5
//   deno run --allow-net --allow-env=TOKEN examples/collector.ts measure 7000 agent-1
//
// Start five agents, before or after the collector. All programs end once the last one has reported.
import { answer, call, caller, collect, contract, feed } from "@parley/parley/calls";
import { join, mount, sameToken, type WireSession } from "@parley/parley/wire";
import { z } from "zod";

const [role = "collect", port = "7000", third] = Deno.args;
const secret = Deno.env.get("TOKEN") ?? "secret";

/** What the collector answers. */
const collector = contract({
  report: collect({
    input: z.object({ megabytes: z.number(), ms: z.number() }),
    output: z.object({ results: z.int(), megabytesPerSecond: z.number() }),
  }),
}, { name: "collector" });

/** What each agent answers. */
const agent = contract({
  progress: feed({ output: z.object({ done: z.int(), of: z.int() }) }),
  describe: call<void, { os: string; cores: number }>(),
}, { name: "agent" });

async function measure(identity: string): Promise<void> {
  const TIMES = 20;
  const data = new Uint8Array(1_000_000);
  let done = 0;
  let moved = Promise.withResolvers<void>();

  await using wire = join({ port: Number(port), identity, token: secret });
  answer(wire, agent, {
    // Skips what its caller is too slow to see.
    async *progress() {
      for (; done < TIMES; await moved.promise) yield { done, of: TIMES };
      yield { done, of: TIMES };
    },
    describe: () => ({ os: Deno.build.os, cores: navigator.hardwareConcurrency }),
  });

  async function* results() {
    while (done < TIMES) {
      const start = performance.now();
      await crypto.subtle.digest("SHA-256", data);
      yield { megabytes: 1, ms: performance.now() - start };
      done++;
      moved.resolve();
      moved = Promise.withResolvers();
    }
  }
  const summary = await caller(wire, collector).report(results());
  console.log(`${summary.results} results, ${summary.megabytesPerSecond.toFixed(1)} MB/s`);
}

async function collectAll(agents: number): Promise<void> {
  const speeds = new Map<string, number>();
  const followed: Promise<void>[] = [];
  const all = Promise.withResolvers<void>();

  /** Shows the progress of an agent. */
  async function follow(session: WireSession): Promise<void> {
    const remote = caller(session, agent);
    const { os, cores } = await remote.describe();
    console.log(`${session.identity} runs on ${os} with ${cores} cores`);
    for await (const { done, of } of remote.progress()) {
      console.log(`${session.identity} ${Math.round(done / of * 100)} %`);
    }
  }

  await using wire = mount({
    port: Number(port),
    authorize: ({ token }) => sameToken(token, secret),
    onOpen: (session) => {
      const lost = () => console.log(`${session.identity} is gone: start it again`);
      followed.push(follow(session).catch(lost));
    },
  });
  answer(wire, collector, {
    async report(results, { peer }) {
      let [count, megabytes, ms] = [0, 0, 0];
      for await (const result of results) {
        count++;
        megabytes += result.megabytes;
        ms += result.ms;
      }
      const megabytesPerSecond = megabytes / ms * 1_000;
      speeds.set(`${peer}`, megabytesPerSecond);
      if (speeds.size === agents) all.resolve();
      return { results: count, megabytesPerSecond };
    },
  });
  await wire.ready;
  console.log("Listening on", wire.addr);
  await all.promise;
  await Promise.all(followed);
  for (const [name, speed] of [...speeds].sort()) console.log(`${name}: ${speed.toFixed(1)} MB/s`);
}

if (role === "collect") await collectAll(Number(third ?? 5));
else await measure(third ?? `agent-${Deno.pid}`);
