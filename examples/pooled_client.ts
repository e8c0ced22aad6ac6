// Asks several backends: each line of standard input is a question, the answers are printed in the
// same order.
//
//   deno run --allow-net examples/pooled_client.ts 7001 7002 7003 < questions.txt
//
// The backends are pool_backend.ts. Stop one of them meanwhile: the others answer.
import { Pool } from "@parley/parley/pool";
import { TextLineStream } from "@std/streams";

const MAX_IN_FLIGHT = 32;

await using pool = new Pool({
  backends: Deno.args.map((port) => ({ port: Number(port) })),
  maxPerBackend: 8,
  health: {
    check: async (conn, { signal }) => {
      await conn.send("are you well?");
      return await conn.receive({ signal }) !== null;
    },
  },
});

/** Asks one backend; another one if the first fails, as asking twice does no harm. */
async function ask(question: string): Promise<string> {
  return await pool.use(async (conn) => {
    await conn.send(question);
    const answer = await conn.receive({ timeoutMs: 1_000 });
    if (answer === null) throw new DOMException("It hung up", "TimeoutError");
    return new TextDecoder().decode(answer);
  }, { retries: 3 });
}

const inFlight: Promise<string>[] = [];
const questions = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(
  new TextLineStream(),
);
for await (const question of questions) {
  inFlight.push(ask(question));
  if (inFlight.length === MAX_IN_FLIGHT) console.log(await inFlight.shift());
}
for (const answer of inFlight) console.log(await answer);

for (const { name, state, leases, leasesFailed } of pool.stats().backends) {
  console.error(`${name} (${state}): ${leases} leases, ${leasesFailed} failed`);
}
