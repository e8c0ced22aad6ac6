// Typed links for tests: each kind over real sockets or memory, and what sends it raw messages.
import { Client, connect, Connection, memoryPair, serve } from "@parley/parley";
import { bytes, type Codec, typed, type TypedOptions } from "@parley/parley/codec";
import { connectIpc, listenIpc, pairIpc } from "@parley/parley/ipc";
import type { WireStream } from "@parley/parley/wire";
import { mounted } from "../support/peers/wires.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

/** What all typed links have, by the values of messages. */
export interface AnyTyped<T> {
  receive(options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<T | null>;
  values(): AsyncIterable<T>;
  stream(): ReadableStream<T>;
  send(value: never): Promise<void>;
}

/** A typed link, and its peer, which may send anything. */
export interface Rig<T> {
  readonly near: AnyTyped<T>;
  sendRaw(message: Uint8Array | string): Promise<void>;
  receiveRaw(): Promise<Uint8Array | null>;
  /** Ends the peer's direction in order, where the link has one. */
  end(): Promise<void>;
}

type Maker = <T, In>(
  stack: AsyncDisposableStack,
  codec: Codec<T, In>,
  options?: Pick<TypedOptions<never>, "onInvalid">,
) => Promise<Rig<T>>;

/** Every kind of link whose messages are bytes. */
export const RIGS: Readonly<Record<string, Maker>> = {
  async "connection over memory"(stack, codec, options) {
    const [a, b] = memoryPair();
    const [near, far] = [new Connection(a), new Connection(b)];
    stack.defer(() => (near.abort(), far.abort()));
    return await rig(typed(near, codec, options as TypedOptions), far);
  },
  async "accepted connection"(stack, codec, options) {
    const accepted = Promise.withResolvers<Connection>();
    const done = Promise.withResolvers<void>();
    const server = serve({ onError: () => {} }, (conn) => (accepted.resolve(conn), done.promise));
    await server.ready;
    const far = await connect(dialable(server.addr));
    stack.defer(async () => {
      done.resolve();
      far.abort();
      server.abort();
      await server.finished.catch(() => {});
    });
    return rig(typed(await accepted.promise, codec, options as TypedOptions), far);
  },
  async client(stack, codec, options) {
    const accepted = Promise.withResolvers<Connection>();
    const done = Promise.withResolvers<void>();
    const server = serve({ onError: () => {} }, (conn) => (accepted.resolve(conn), done.promise));
    await server.ready;
    const client = new Client({ ...dialable(server.addr), logger: QUIET });
    stack.defer(async () => {
      done.resolve();
      client.abort();
      server.abort();
      await Promise.all([server.finished.catch(() => {}), client.closed]);
    });
    await client.ready;
    return {
      ...rig(typed(client, codec, options as TypedOptions), await accepted.promise),
      end: () => client.close(),
    };
  },
  async "opened stream"(stack, codec, options) {
    const [near, far] = await streamPair(stack);
    return rig(typed(near, codec, options as TypedOptions), typed(far, bytes()));
  },
  async "handled stream"(stack, codec, options) {
    const [near, far] = await streamPair(stack);
    return rig(typed(far, codec, options as TypedOptions), typed(near, bytes()));
  },
  async "IPC client"(stack, codec, options) {
    const { server, client } = await ipcPair(stack);
    const [far] = server.clients.values();
    return ipcRig(typed(client, { 7: codec }, options as never), far!);
  },
  async "IPC server"(stack, codec, options) {
    const { server, client } = await ipcPair(stack);
    return ipcRig(typed(server, { 7: codec }, options as never), client);
  },
  async "client of an IPC server"(stack, codec, options) {
    const { server, client } = await ipcPair(stack);
    const [near] = server.clients.values();
    return ipcRig(typed(near!, { 7: codec }, options as never), client);
  },
  async "IPC pair"(stack, codec, options) {
    const folder = stack.use(new TempDir());
    const place = { name: "typed", path: `${folder.path}/s.sock` };
    const [a, b] = await Promise.all([
      pairIpc(place, (data) => data),
      pairIpc(place, (data) => data),
    ]);
    stack.defer(async () => {
      a.abort();
      b.abort();
      await Promise.all([a.closed, b.closed]);
    });
    await Promise.all([a.connected(), b.connected()]);
    return ipcRig(typed(a, { 7: codec }, options as never), b);
  },
};

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };

function dialable(addr: object): { hostname: string; port: number } {
  return addr as { hostname: string; port: number };
}

/** Both sides of a wire stream, over a real socket. */
export async function streamPair(stack: AsyncDisposableStack): Promise<[WireStream, WireStream]> {
  const wire = stack.use(await mounted());
  const handled = Promise.withResolvers<WireStream>();
  const done = Promise.withResolvers<void>();
  stack.defer(() => done.resolve());
  wire.server.handle("talk", (stream) => (handled.resolve(stream), done.promise));
  const joined = await wire.join("alice");
  const opened = await joined.open("talk");
  return [opened, await handled.promise];
}

async function ipcPair(stack: AsyncDisposableStack) {
  const folder = stack.use(new TempDir());
  const arrived = Promise.withResolvers<void>();
  const place = { name: "typed", path: `${folder.path}/s.sock` };
  const server = await listenIpc({ ...place, onClient: () => arrived.resolve() });
  const client = await connectIpc(place);
  stack.defer(async () => {
    client.abort();
    server.abort();
    await Promise.all([client.closed, server.finished]);
  });
  await arrived.promise;
  return { server, client };
}

function rig<T>(
  near: {
    receive(options?: object): Promise<T | null>;
    send(value: never): Promise<void>;
    readonly readable: ReadableStream<T>;
    [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined>;
  },
  far: {
    send(message: Uint8Array): Promise<void>;
    receive(): Promise<Uint8Array | null>;
    closeWrite(): Promise<void>;
  },
): Rig<T> {
  return {
    near: {
      receive: (options) => near.receive(options),
      values: () => near,
      stream: () => near.readable,
      send: (value) => near.send(value),
    },
    sendRaw: (message) => far.send(toBytes(message)),
    receiveRaw: () => far.receive(),
    end: () => far.closeWrite(),
  };
}

function ipcRig<T>(
  near: {
    receive(options?: object): Promise<{ readonly data: T } | null>;
    send(type: 7, data: never): Promise<void>;
    readonly readable: ReadableStream<{ readonly data: T }>;
    [Symbol.asyncIterator](): AsyncIterableIterator<{ readonly data: T }, undefined>;
  },
  far: {
    send(type: number, data: Uint8Array): Promise<void>;
    receive(): Promise<{ readonly data: Uint8Array } | null>;
    close(): Promise<void>;
  },
): Rig<T> {
  const data = new TransformStream<{ readonly data: T }, T>(
    {
      transform: (message, controller) => controller.enqueue(message.data),
    },
    undefined,
    { highWaterMark: 0 },
  );
  return {
    near: {
      receive: async (options) => (await near.receive(options))?.data ?? null,
      async *values() {
        for await (const message of near) yield message.data;
      },
      stream: () => near.readable.pipeThrough(data),
      send: (value) => near.send(7, value),
    },
    sendRaw: (message) => far.send(7, toBytes(message)),
    receiveRaw: async () => (await far.receive())?.data ?? null,
    end: () => far.close(),
  };
}

function toBytes(message: Uint8Array | string): Uint8Array {
  return typeof message === "string" ? new TextEncoder().encode(message) : message;
}
