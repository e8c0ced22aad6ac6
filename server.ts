/**
 * The server side: listens, accepts connections, runs a handler for each, and drains in order. For
 * most uses call {@linkcode serve}. Call {@linkcode listenTransport} to accept plain transports for
 * a protocol of your own, such as a yamux session.
 *
 * @example
 * ```ts
 * import { serve } from "@parley/parley/server";
 * await using server = serve(async (conn) => await conn.send("Hello!"));
 * await server.ready;
 * ```
 * @module
 */
import { checkOptionNames } from "./options/names.ts";
import { LateHandler } from "./server/late_handler.ts";
import { SERVE_NAMES } from "./server/option_names.ts";
import { type Handler, resolveServeOptions, type ServeOptions } from "./server/options.ts";
import { Server } from "./server/server.ts";

export {
  broadcast,
  type BroadcastLink,
  type BroadcastOptions,
  type BroadcastResult,
  type BroadcastTargets,
  type IpcBroadcastLink,
  type IpcBroadcastOptions,
  type TypedBroadcastLink,
} from "./server/broadcast.ts";
export { Server } from "./server/server.ts";
export type { ShutdownOptions } from "./server/shutdown_options.ts";
export { serveWorkers } from "./workers/serve_workers.ts";
export { SpreadServer } from "./workers/spread_server.ts";
export { WorkersServer } from "./workers/workers_server.ts";
export type {
  ServeWorkersOptions,
  WorkerModule,
  WorkerModuleOptions,
  WorkersErrorContext,
} from "./workers/options.ts";
export type { WorkerStart } from "./workers/module.ts";
export type { ServerState } from "./accept/server_state.ts";
export type {
  ClosedConnectionsOptions,
  Handler,
  IncomingInfo,
  ServeErrorContext,
  ServeHooks,
  ServeOptions,
} from "./server/options.ts";
export {
  listenTransport,
  type ListenTransportOptions,
  type TransportErrorContext,
  TransportListener,
} from "./server/transport_listener.ts";

export type { AdmissionOptions } from "./limits/admission_options.ts";
export type { PenaltiesOptions } from "./limits/penalties.ts";
export type { ProxyProtocolOptions } from "./net/transport/proxy_sources.ts";
export type { RateLimit, RateLimitsOptions } from "./limits/rate_limits.ts";
export type { SourceExemptionsOptions } from "./limits/source_exemptions.ts";

/**
 * Listens, and calls `handler` for every connection. Returns at once: `server.ready` resolves when
 * it listens.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 *
 * @example An echo server
 * ```ts
 * import { connect, serve } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const message of conn) await conn.send(message);
 * });
 * await server.ready;
 *
 * await using conn = await connect(server.addr);
 * await conn.send("Hi!");
 * assertEquals(await conn.receive(), new TextEncoder().encode("Hi!"));
 * ```
 */
export function serve(handler: Handler): Server;
/**
 * Listens without a handler: `answer` of `@parley/parley/calls` serves the connections. One that
 * comes before `answer` was called is ended, and the first such goes to `onError` as a `TypeError`.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 *
 * @example Calls over every connection
 * ```ts
 * import { connect, serve } from "@parley/parley";
 * import { answer, call, caller, contract } from "@parley/parley/calls";
 * import { assertEquals } from "@std/assert";
 *
 * const math = contract({ add: call<{ a: number; b: number }, number>() });
 * await using server = serve();
 * answer(server, math, { add: ({ a, b }) => a + b });
 * await server.ready;
 *
 * await using conn = await connect(server.addr);
 * assertEquals(await caller(conn, math).add({ a: 1, b: 2 }), 3);
 * ```
 */
export function serve<Data>(options?: ServeOptions<Data>): Server<Data>;
/**
 * Listens as `options` say, and calls `handler` for every connection. Returns at once:
 * `server.ready` resolves when it listens.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 *
 * @example TLS on a port of its own, messages that end with a line feed
 * ```ts ignore
 * import { delimited, serve } from "@parley/parley";
 *
 * serve({
 *   hostname: "0.0.0.0",
 *   port: 5555,
 *   tls: { certFile: "server.pem", keyFile: "server.key", watch: true },
 *   framing: delimited("\n"),
 * }, async (conn) => {
 *   for await (const message of conn) await conn.send(message);
 * });
 * ```
 */
export function serve<Data>(options: ServeOptions<Data>, handler: Handler<Data>): Server<Data>;
export function serve<Data>(
  first: ServeOptions<Data> | Handler<Data> = {},
  second?: Handler<Data>,
): Server<Data> {
  const handler = typeof first === "function" ? first : second;
  const options = typeof first === "function" ? {} : first;
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot listen: "options" must be an object, got ${options === null ? null : typeof options}`,
    );
  }
  if (handler !== undefined && typeof handler !== "function") {
    throw new TypeError(`Cannot listen: "handler" must be a function, got ${typeof handler}`);
  }
  checkOptionNames("Cannot listen", options, SERVE_NAMES);
  const resolved = resolveServeOptions(options);
  if (handler !== undefined) return new Server(resolved, handler);
  const late = new LateHandler();
  const server = new Server(resolved, late.handle);
  late.belongsTo(server);
  return server;
}
