// The client side: connect() for one connection, Client for a link that is kept up; the face of `client/`.
export { connect } from "./client/connect.ts";
export type { ConnectOptions } from "./client/options.ts";
export { Client, type ClientOptions } from "./client/client.ts";
export type { ReconnectInfo, ReconnectOptions, ReconnectPolicy } from "./client/backoff.ts";
export type { LinkLoss } from "./client/outbox.ts";
export type { ClientStatus, ClientStatusEvent } from "./client/status.ts";
export { Connection } from "./connection.ts";
