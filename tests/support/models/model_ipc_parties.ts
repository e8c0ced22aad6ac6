// IpcParty: servers, clients and pairs as one kind of process, for the model of IPC.
import { callLineOf } from "../../../ipc/call_line.ts";
import type { IpcClient } from "../../../ipc/client.ts";
import type { IpcMessage } from "../../../ipc/link/inbox.ts";
import type { IpcPeer } from "../../../ipc/peer.ts";
import type { IpcServer } from "../../../ipc/server.ts";
import type { IpcServerClient } from "../../../ipc/server_client.ts";
import type { IpcStatusEvent } from "../../../ipc/observe/status.ts";
import type { MuxStream } from "../../../mux/stream.ts";
import type { IpcFlow } from "./model_ipc_ledger.ts";
import type { Random } from "../random.ts";

/** Where messages go, and what is known of them. */
export interface IpcTarget {
  readonly flow: IpcFlow;
  write(type: number, data: Uint8Array): Promise<void>;
  flush(): Promise<void>;
}

/** A process at a channel. */
export interface IpcParty {
  readonly closed: Promise<void>;
  /** Where the next message goes; `open` makes its flow. Nowhere when no process is there. */
  target(random: Random, open: (to: string) => IpcFlow): IpcTarget | undefined;
  /** All that it writes to. */
  flows(): Iterable<IpcTarget>;
  /** Asks; `undefined` when there is none to ask. */
  query(random: Random, data: Uint8Array, timeoutMs?: number): Promise<Uint8Array> | undefined;
  /** Asks by a stream, which ends with the question; `undefined` when there is none to ask. */
  stream(random: Random, data: Uint8Array): Promise<Uint8Array> | undefined;
  read(): Promise<IpcMessage & { readonly client?: IpcServerClient } | null>;
  statuses(): AsyncIterable<IpcStatusEvent>;
  close(options: { timeoutMs: number }): Promise<void>;
  abort(reason: Error): void;
  /** Connections that it had. */
  links(): number;
}

/** Answers streams: each with its bytes, turned around. */
function answerStreams(end: object, answer: StreamAnswer): void {
  callLineOf(end)!.slot.handlers = {
    ask: () => {},
    async stream(stream) {
      try {
        await stream.write(await answer(await readAll(stream)));
        await stream.close();
      } catch {
        // The other side has gone, and knows that it was not answered.
      }
    },
  };
}

async function askByStream(end: object, data: Uint8Array): Promise<Uint8Array> {
  const stream = await callLineOf(end)!.sender!.openStream({ timeoutMs: 5000 });
  await stream.write(data);
  await stream.closeWrite();
  return await readAll(stream);
}

async function readAll(stream: MuxStream): Promise<Uint8Array> {
  const chunks: number[] = [];
  for await (const chunk of stream) for (const byte of chunk) chunks.push(byte);
  return Uint8Array.from(chunks);
}

/** How a process answers. */
type StreamAnswer = (data: Uint8Array) => Promise<Uint8Array>;

/** A client or one of a pair: whatever process is at the other end. */
export function soleParty(end: IpcClient | IpcPeer, answer: StreamAnswer): IpcParty {
  answerStreams(end, answer);
  let target: IpcTarget | undefined;
  return {
    closed: end.closed,
    target: (_random, open) =>
      target ??= {
        flow: open(""),
        write: (type, data) => end.send(type, data),
        flush: () => end.flush(),
      },
    flows: () => target === undefined ? [] : [target],
    query: (_random, data, timeoutMs) =>
      end.query(data, timeoutMs === undefined ? {} : { timeoutMs }),
    stream: (_random, data) => askByStream(end, data),
    read: () => end.receive(),
    statuses: () => end.statuses(),
    close: (options) => end.close(options),
    abort: (reason) => end.abort(reason),
    links: () => end.stats().overall.connectionsOpened,
  };
}

/** A server: each of its clients is a target of its own. */
export function serverParty(server: IpcServer, answer: StreamAnswer): IpcParty {
  answerStreams(server, answer);
  const targets = new Map<IpcServerClient, IpcTarget>();
  const pick = (random: Random) => {
    const open = [...server.clients.values()].filter(({ status }) => status === "connected");
    return open.length === 0 ? undefined : random.pick(open);
  };
  return {
    closed: server.finished,
    target(random, open) {
      const client = pick(random);
      if (client === undefined) return undefined;
      let target = targets.get(client);
      if (target === undefined) {
        const flow = open(`>${client.id.slice(0, 4)}`);
        target = {
          flow,
          write: (type, data) => client.send(type, data),
          flush: () => client.flush(),
        };
        targets.set(client, target);
      }
      return target;
    },
    flows: () => targets.values(),
    query: (random, data, timeoutMs) =>
      pick(random)?.query(data, timeoutMs === undefined ? {} : { timeoutMs }),
    stream(random, data) {
      const client = pick(random);
      return client && askByStream(client, data);
    },
    read: () => server.receive(),
    statuses: () => server.statuses(),
    close: (options) => server.shutdown(options),
    abort: (reason) => server.abort(reason),
    links: () => server.stats().overall.connectionsOpened,
  };
}
