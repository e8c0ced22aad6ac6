/**
 * The client side: connections that your program opens. For most uses call {@linkcode connect} for
 * one connection, or make a {@linkcode Client} for a link that reconnects by itself. Call
 * {@linkcode connectTransport} for a plain transport under a protocol of your own.
 *
 * @example
 * ```ts
 * import { Client, connect } from "@parley/parley/client";
 * import { serve } from "@parley/parley/server";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const message of conn) await conn.send(message);
 * });
 * await server.ready;
 *
 * await using conn = await connect({ ...server.addr, timeoutMs: 3_000 });
 * await conn.send("once");
 * assertEquals(await conn.receive(), new TextEncoder().encode("once"));
 *
 * await using client = new Client({ ...server.addr });
 * await client.send("on whatever link there is");
 * assertEquals(await client.receive(), new TextEncoder().encode("on whatever link there is"));
 * ```
 *
 * @module
 */
export { connect, connectTransport } from "./client/connect.ts";
export type { ConnectOptions, ConnectTransportOptions } from "./client/options.ts";
export { Client } from "./client/client.ts";
export type { ClientOptions } from "./client/client_options.ts";
export type { CloseOptions } from "./options/close.ts";
export type { ConnectInfo, OnConnect } from "./client/trial.ts";
export type { ReconnectInfo, ReconnectOptions, ReconnectPolicy } from "./async/backoff.ts";
export type { LinkLoss } from "./client/send_buffer.ts";
export type { ClientStatus, ClientStatusEvent } from "./client/status.ts";
export { Connection } from "./connection.ts";
