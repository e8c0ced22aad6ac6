// Halves of connections: a server, one connection of it, and what connects: once, for good, or by
// a pool.
import {
  Client,
  connect,
  type Connection,
  serve,
  type ServeOptions,
  type Server,
} from "@parley/parley";
import { Pool } from "@parley/parley/pool";
import type { Half, Place } from "../place.ts";

/** A server that answers on all its connections. */
export async function serverHalf(place: Place): Promise<Half<Server>> {
  const server = serve(optionsOf(place));
  return await listening(server, place, () => server);
}

/** The first connection of a server. */
export async function acceptedHalf(place: Place): Promise<Half<Connection>> {
  const first = Promise.withResolvers<Connection>();
  const server = serve(optionsOf(place), async (connection) => {
    first.resolve(connection);
    await connection.closed;
  });
  return await listening(server, place, () => first.promise);
}

/** A connection to the server. */
export async function connectionHalf(place: Place): Promise<Half<Connection>> {
  const connection = await connect(targetOf(place));
  return {
    place,
    end: () => connection,
    shutdown: () => connection.close(),
    abort: () => connection.abort(),
    ended: () => connection.closed,
  };
}

/** A client that keeps a connection up. */
export async function clientHalf(place: Place): Promise<Half<Client>> {
  const client = new Client(targetOf(place));
  await client.ready;
  return {
    place,
    end: () => client,
    shutdown: () => client.close(),
    abort: () => client.abort(),
    ended: () => client.closed,
  };
}

/** A pool of connections. */
export function poolHalf(place: Place): Promise<Half<Pool>> {
  const { tls, ...target } = targetOf(place);
  // Calls that are too late count against their backend, and there is no other one here.
  const pool = new Pool({
    backends: [target],
    breaker: false,
    ...(tls === undefined ? {} : { tls }),
  });
  return Promise.resolve({
    place,
    end: () => pool,
    shutdown: () => pool.close(),
    abort: () => pool.abort(),
    ended: () => pool.closed,
  });
}

async function listening<End>(
  server: Server,
  place: Place,
  end: () => End | Promise<End>,
): Promise<Half<End>> {
  await server.ready;
  const { addr } = server;
  return {
    place: addr.transport === "tcp" ? { ...place, port: addr.port } : place,
    end,
    shutdown: () => server.shutdown(),
    abort: () => server.abort(),
    ended: () => server.finished,
  };
}

function optionsOf({ tls, dir, unix = false }: Place): ServeOptions {
  return {
    onError: () => {},
    ...(unix ? { path: `${dir}/server.sock` } : {}),
    ...(tls === undefined ? {} : { tls: { ...tls.server, clientCa: tls.ca } }),
  };
}

function targetOf({ dir, port, tls, unix = false }: Place) {
  return {
    ...(unix ? { path: `${dir}/server.sock` } : { port: port ?? 0 }),
    ...(tls === undefined ? {} : { tls: { caCerts: [tls.ca], ...tls.client } }),
  };
}
