// A server of calls as a process of its own: deno run -A call_server.ts PATH. Prints "ready".
import { serve } from "@parley/parley";
import { answer, call, contract } from "@parley/parley/calls";

const jobs = contract({
  pid: call<void, number>({ idempotent: true }),
  work: call<number, number>(),
  safeWork: call<number, number>({ idempotent: true }),
  runs: call<void, number>(),
});

const server = serve({ path: Deno.args[0]! });
let runs = 0;
answer(server, jobs, {
  pid: () => Deno.pid,
  work: async (ms) => {
    runs++;
    await new Promise((resolve) => setTimeout(resolve, ms));
    return Deno.pid;
  },
  safeWork: async (ms) => {
    runs++;
    await new Promise((resolve) => setTimeout(resolve, ms));
    return Deno.pid;
  },
  runs: () => runs,
});
await server.ready;
console.log("ready");
