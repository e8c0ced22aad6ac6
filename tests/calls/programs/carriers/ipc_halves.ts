// Halves of IPC: a server, one client of it, and the two sides of a pair.
import {
  connectIpc,
  type IpcClient,
  type IpcPeer,
  type IpcServer,
  type IpcServerClient,
  listenIpc,
  pairIpc,
} from "@parley/parley/ipc";
import type { Half, Place } from "../place.ts";

/** The server of a channel. */
export async function ipcServerHalf(place: Place): Promise<Half<IpcServer>> {
  return await listeningHalf(place, (server) => server);
}

/** The first client of a server. */
export async function ipcServerClientHalf(place: Place): Promise<Half<IpcServerClient>> {
  return await listeningHalf(place, (_, first) => first);
}

/** A client of the channel. */
export async function ipcClientHalf(place: Place): Promise<Half<IpcClient>> {
  const client = await connectIpc(optionsOf(place));
  return {
    place,
    end: () => client,
    shutdown: () => client.close(),
    abort: () => client.abort(),
    ended: () => client.closed,
  };
}

/** Either side of a pair: the first to come listens. */
export async function ipcPairHalf(place: Place): Promise<Half<IpcPeer>> {
  const peer = await pairIpc(optionsOf(place), () => "");
  return {
    place,
    end: () => peer,
    shutdown: () => peer.close(),
    abort: () => peer.abort(),
    ended: () => peer.closed,
  };
}

async function listeningHalf<End>(
  place: Place,
  pick: (server: IpcServer, first: Promise<IpcServerClient>) => End | Promise<End>,
): Promise<Half<End>> {
  const first = Promise.withResolvers<IpcServerClient>();
  const server = await listenIpc({ ...optionsOf(place), onClient: first.resolve });
  return {
    place,
    end: () => pick(server, first.promise),
    shutdown: () => server.shutdown(),
    abort: () => server.abort(),
    ended: () => server.finished,
  };
}

function optionsOf({ dir }: Place) {
  return { name: "test", path: `${dir}/ipc.sock`, onError: () => {} };
}
