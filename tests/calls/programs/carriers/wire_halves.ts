// Halves of wires: a mount, a hub, and those that join them.
import {
  hub,
  join,
  type JoinedWire,
  type JoinOptions,
  mount,
  type MountedWire,
  type MountOptions,
  type WirePeer,
  type WireSession,
} from "@parley/parley/wire";
import type { Half, Place } from "../place.ts";

/** The peer that joins a mount, or calls at a hub. */
export const DEVICE = "device";
/** The peer that is called at a hub. */
const WORKER = "worker";

/** A mount, and what of it is used. */
export async function mountHalf<End>(
  place: Place,
  pick: (wire: MountedWire) => End | Promise<End>,
): Promise<Half<End>> {
  return await serverHalf(place, mount, pick);
}

/** The session of a mount with the device. */
export async function sessionOf(wire: MountedWire): Promise<WireSession> {
  return await wire.waitFor(DEVICE);
}

/** A peer that joins the mount, and what of it is used. */
export async function joinHalf<End>(
  place: Place,
  pick: (wire: JoinedWire) => End | Promise<End>,
): Promise<Half<End>> {
  return await joinedHalf(place, DEVICE, pick);
}

/** The session of a joined wire. */
export async function joinedSession(wire: JoinedWire): Promise<WireSession> {
  await wire.ready;
  return wire.session!;
}

/** A hub, and the peer of it that is called. */
export async function hubWorkerHalf(place: Place): Promise<Half<JoinedWire>> {
  const server = await serverHalf(place, hub, (wire) => wire);
  const worker = await joinedHalf(server.place, WORKER, (wire) => wire);
  return {
    place: server.place,
    end: worker.end,
    async shutdown() {
      await worker.shutdown();
      await server.shutdown();
    },
    abort() {
      worker.abort();
      server.abort();
    },
    ended: () => Promise.all([worker.ended(), server.ended()]),
  };
}

/** A hub whose own handlers are called. */
export async function hubHalf(place: Place): Promise<Half<MountedWire>> {
  return await serverHalf(place, hub, (wire) => wire);
}

/** A peer that calls another at the hub. */
export async function hubCallerHalf(place: Place): Promise<Half<WirePeer>> {
  return await joinedHalf(place, DEVICE, (wire) => wire.peer(WORKER));
}

async function serverHalf<End>(
  place: Place,
  make: (options: MountOptions) => MountedWire,
  pick: (wire: MountedWire) => End | Promise<End>,
): Promise<Half<End>> {
  const { tls } = place;
  const wire = make({
    authorize: ({ identity, token }) => token === `${identity}-token`,
    onError: () => {},
    ...(tls === undefined ? {} : { tls: tls.server }),
  });
  await wire.ready;
  const { addr } = wire;
  if (addr.transport !== "tcp") throw new Error("It listens elsewhere");
  return {
    place: { ...place, port: addr.port },
    end: () => pick(wire),
    shutdown: () => wire.shutdown(),
    abort: () => wire.abort(),
    ended: () => wire.finished,
  };
}

async function joinedHalf<End>(
  place: Place,
  identity: string,
  pick: (wire: JoinedWire) => End | Promise<End>,
): Promise<Half<End>> {
  const { tls, port } = place;
  const options: JoinOptions = { port, identity, token: `${identity}-token`, onError: () => {} };
  const wire = join(tls === undefined ? options : { ...options, tls: { caCerts: [tls.ca] } });
  await wire.ready;
  return {
    place,
    end: () => pick(wire),
    shutdown: () => wire.close(),
    abort: () => wire.abort(),
    ended: () => wire.closed,
  };
}
