// A plain proxy over a pool, for the tests: collects garbage and reports its memory whenever it gets SIGUSR2.
//
// Needs DENO_V8_FLAGS=--expose-gc.
import { raw, serve } from "@parley/parley";
import { Pool, splice } from "@parley/parley/pool";

const pool = new Pool({
  backends: Deno.args.map((port) => ({ port: Number(port) })),
  framing: raw(),
  maxPerBackend: 300,
  outliers: false,
});

serve({ framing: raw(), onListen: (addr) => console.log("Listening on", addr) }, async (conn) => {
  await using lease = await pool.acquire();
  await splice(conn, lease.conn);
});

let reports = 0;
Deno.addSignalListener("SIGUSR2", () => {
  (globalThis as unknown as { gc(): void }).gc();
  const { heapUsed, external } = Deno.memoryUsage();
  const { leases, busy, closing } = pool.stats().backends.reduce((sum, each) => ({
    leases: sum.leases + each.leases,
    busy: sum.busy + each.busy,
    closing: sum.closing + each.closing,
  }), { leases: 0, busy: 0, closing: 0 });
  console.log(
    `memory ${++reports}`,
    JSON.stringify({ bytes: heapUsed + external, leases, busy, closing }),
  );
});
