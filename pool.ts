/**
 * Connections to several backends: a pool that leases them, balances and retries, and `splice`,
 * which joins two connections byte for byte. For most uses make a {@linkcode Pool} and call
 * `pool.use`; call `pool.acquire` to hold a connection yourself, and {@linkcode splice} in a proxy.
 *
 * @example
 * ```ts
 * import { serve } from "@parley/parley";
 * import { Pool } from "@parley/parley/pool";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const question of conn) await conn.send(question);
 * });
 * await server.ready;
 *
 * await using pool = new Pool({ backends: [server.addr] });
 * await using lease = await pool.acquire();
 * await lease.conn.send("Hi!");
 * assertEquals(await lease.conn.receive(), new TextEncoder().encode("Hi!"));
 * ```
 *
 * @module
 */
export type { CloseOptions } from "./options/close.ts";
export { Pool, type PoolDrainOptions } from "./pool/pool.ts";
export { type AcquireOptions, Lease } from "./pool/lease.ts";
export type { UseOptions, Work, WorkContext } from "./pool/use.ts";
export type { Backend, HealthOptions, LeaseUse, PoolOptions, Resolver } from "./pool/options.ts";
export type { Balance } from "./pool/balance.ts";
export type { PoolErrorContext } from "./pool/reporter.ts";
export type { BreakerOptions } from "./pool/breaker.ts";
export type { OutlierOptions } from "./pool/outliers.ts";
export type { RetryBudgetOptions } from "./pool/retry_budget.ts";
export type {
  BackendCounters,
  BackendState,
  BackendStats,
  BreakerState,
  PoolCounters,
  PoolStats,
} from "./stats/data/pool_stats.ts";
export { splice, type SpliceOptions, type SpliceResult } from "./pool/splice.ts";
