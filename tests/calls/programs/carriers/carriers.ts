// The carriers of calls: which half answers, which one calls, and what a handler learns of its
// caller.
import type { answer, caller } from "@parley/parley/calls";
import type { Half, Place } from "../place.ts";
import {
  acceptedHalf,
  clientHalf,
  connectionHalf,
  poolHalf,
  serverHalf,
} from "./connection_halves.ts";
import { ipcClientHalf, ipcPairHalf, ipcServerClientHalf, ipcServerHalf } from "./ipc_halves.ts";
import {
  DEVICE,
  hubCallerHalf,
  hubHalf,
  hubWorkerHalf,
  joinedSession,
  joinHalf,
  mountHalf,
  sessionOf,
} from "./wire_halves.ts";

/** What can answer calls. */
export type Answering = Parameters<typeof answer>[0];
/** What can be called through. */
export type Calling = Parameters<typeof caller>[0];

/** One way for calls between two processes. */
export interface Carrier {
  /** Which half must be up first, because the other connects to it. */
  readonly first: "answerer" | "caller";
  /** The half that answers. */
  readonly answers: (place: Place) => Promise<Half<Answering>>;
  /** The half that calls. */
  readonly calls: (place: Place) => Promise<Half<Calling>>;
  /** Whether it carries feeds, collects and talks. */
  readonly hasStreams: boolean;
  /** Who the caller is for a handler; `null` where it has no name. */
  readonly peer: string | null;
  /** What the place must have. */
  readonly needs?: "tls" | "unix" | undefined;
}

const listens = { first: "answerer" } as const;
const connects = { first: "caller" } as const;
const streams = { hasStreams: true } as const;
const callsOnly = { hasStreams: false } as const;
const named = { peer: DEVICE } as const;
const nameless = { peer: null } as const;

/** All carriers by name. */
export const CARRIERS: Readonly<Record<string, Carrier>> = {
  "mount, called by the joined side": {
    ...listens,
    ...streams,
    ...named,
    answers: (place) => mountHalf(place, (wire) => wire),
    calls: (place) => joinHalf(place, (wire) => wire),
  },
  "join, called by the mounted side": {
    ...connects,
    ...streams,
    ...nameless,
    answers: (place) => joinHalf(place, (wire) => wire),
    calls: (place) => mountHalf(place, sessionOf),
  },
  "session of a mount, called by that of the joined side": {
    ...listens,
    ...streams,
    ...named,
    answers: (place) => mountHalf(place, sessionOf),
    calls: (place) => joinHalf(place, joinedSession),
  },
  "session of a joined side, called by that of the mount": {
    ...connects,
    ...streams,
    ...nameless,
    answers: (place) => joinHalf(place, joinedSession),
    calls: (place) => mountHalf(place, sessionOf),
  },
  "mount over TLS": {
    ...listens,
    ...streams,
    ...named,
    needs: "tls",
    answers: (place) => mountHalf(place, (wire) => wire),
    calls: (place) => joinHalf(place, (wire) => wire),
  },
  "hub, called by a peer": {
    ...listens,
    ...streams,
    ...named,
    answers: hubHalf,
    calls: (place) => joinHalf(place, (wire) => wire),
  },
  "peer at a hub, called by another": {
    ...listens,
    ...streams,
    ...named,
    answers: hubWorkerHalf,
    calls: hubCallerHalf,
  },
  "IPC server, called by a client": {
    ...listens,
    ...streams,
    ...nameless,
    answers: ipcServerHalf,
    calls: ipcClientHalf,
  },
  "IPC client, called by its server": {
    ...connects,
    ...streams,
    ...nameless,
    answers: ipcClientHalf,
    calls: ipcServerClientHalf,
  },
  "one client of an IPC server": {
    ...listens,
    ...streams,
    ...nameless,
    answers: ipcServerClientHalf,
    calls: ipcClientHalf,
  },
  "IPC pair, called by the second": {
    ...listens,
    ...streams,
    ...nameless,
    answers: ipcPairHalf,
    calls: ipcPairHalf,
  },
  "IPC pair, called by the first": {
    ...connects,
    ...streams,
    ...nameless,
    answers: ipcPairHalf,
    calls: ipcPairHalf,
  },
  "server of connections": {
    ...listens,
    ...callsOnly,
    ...nameless,
    answers: serverHalf,
    calls: connectionHalf,
  },
  "connection of a server": {
    ...listens,
    ...callsOnly,
    ...nameless,
    answers: acceptedHalf,
    calls: connectionHalf,
  },
  "connection to a server": {
    ...connects,
    ...callsOnly,
    ...nameless,
    answers: connectionHalf,
    calls: acceptedHalf,
  },
  "server over a unix socket": {
    ...listens,
    ...callsOnly,
    ...nameless,
    needs: "unix",
    answers: serverHalf,
    calls: connectionHalf,
  },
  "server over mutual TLS": {
    ...listens,
    ...callsOnly,
    peer: "CN=agent-7",
    needs: "tls",
    answers: serverHalf,
    calls: connectionHalf,
  },
  "server, called by a client": {
    ...listens,
    ...callsOnly,
    ...nameless,
    answers: serverHalf,
    calls: clientHalf,
  },
  "client, called by its server": {
    ...connects,
    ...callsOnly,
    ...nameless,
    answers: clientHalf,
    calls: acceptedHalf,
  },
  "server, called by a pool": {
    ...listens,
    ...callsOnly,
    ...nameless,
    answers: serverHalf,
    calls: poolHalf,
  },
};
