// One vocabulary: every server has the members of a server, and every link those of a link.
import { assert, assertEquals } from "@std/assert";
import { Client, connect, serve, serveWorkers } from "@parley/parley";
import { bytes, typed } from "@parley/parley/codec";
import { connectIpc, listenIpc, pairIpc } from "@parley/parley/ipc";
import { MuxSession } from "@parley/parley/mux";
import { memoryPair } from "@parley/parley";
import { Pool } from "@parley/parley/pool";
import { serveStats } from "@parley/parley/stats";
import { forward, hub, join, listenTransport, mount, mountWorkers } from "@parley/parley/wire";
import { echo } from "./support/peers/servers.ts";
import { settles } from "./support/wait.ts";
import { TempDir } from "./support/programs/temp_dir.ts";

/** What every server has. */
interface AnyServer extends AsyncDisposable {
  readonly ready: Promise<void>;
  readonly finished: Promise<void>;
  readonly state: string;
  ref(): void;
  unref(): void;
  shutdown(options?: { timeoutMs?: number }): Promise<void>;
  abort(reason?: unknown): unknown;
}

/** What every link has. */
interface AnyLink extends AsyncDisposable {
  readonly closed: Promise<unknown>;
  readonly status: string;
  close(options?: { timeoutMs?: number }): Promise<void>;
  abort(reason?: unknown): void;
}

const anyone = { insecureAnyone: true, onError: () => {} };

/** Makes one server of each kind; `stack` ends what it needs. */
const SERVERS: Readonly<
  Record<string, (stack: AsyncDisposableStack, folder: string) => Promise<AnyServer>>
> = {
  serve: () => Promise.resolve(serve({ port: 0 }, echo)),
  serveWorkers: () =>
    serveWorkers(new URL("./workers/echo_handler.ts", import.meta.url), { workers: 1 }),
  listenTransport: () => Promise.resolve(listenTransport({ port: 0 })),
  mount: () => Promise.resolve(mount(anyone)),
  mountWorkers: () =>
    mountWorkers(new URL("./workers/wire_handler.ts", import.meta.url), { workers: 1 }),
  hub: () => Promise.resolve(hub(anyone)),
  listenIpc: (_, folder) => listenIpc({ name: "vocabulary", path: `${folder}/s.sock` }),
  "typed IpcServer": async (_, folder) =>
    typed(await listenIpc({ name: "vocabulary", path: `${folder}/t.sock` }), { 1: bytes() }),
  serveStats: (stack) =>
    Promise.resolve(serveStats(stack.use(serve({ port: 0 }, echo)), { port: 0 })),
  async forward(stack) {
    const server = stack.use(mount(anyone));
    await server.ready;
    return await forward(stack.use(join({ ...server.addr, identity: "one" })), "service");
  },
};

for (const [kind, make] of Object.entries(SERVERS)) {
  for (const end of ["shutdown", "abort", "disposal"] as const) {
    Deno.test(`${kind} ends by ${end} as every server does`, async () => {
      await using folder = new TempDir();
      await using stack = new AsyncDisposableStack();
      const server = await make(stack, folder.path);
      await server.ready;
      assertEquals(server.state, "listening");
      server.unref();
      server.ref();
      if (end === "shutdown") await server.shutdown({ timeoutMs: 5000 });
      else if (end === "abort") void server.abort(new Error("enough"));
      else await server[Symbol.asyncDispose]();
      await settles("the end", server.finished);
      assertEquals(server.state, "stopped");
      assert(!("close" in server), "a server has no close()");
    });
  }
}

/** Makes one link of each kind; `stack` ends what it needs. */
const LINKS: Readonly<
  Record<string, (stack: AsyncDisposableStack, folder: string) => Promise<AnyLink>>
> = {
  async Connection(stack) {
    const server = stack.use(serve({ port: 0 }, echo));
    await server.ready;
    return await connect(server.addr);
  },
  async Client(stack) {
    const server = stack.use(serve({ port: 0 }, echo));
    await server.ready;
    const client = new Client(server.addr);
    await client.ready;
    return client;
  },
  async "typed Connection"(stack) {
    const server = stack.use(serve({ port: 0 }, echo));
    await server.ready;
    return typed(await connect(server.addr), bytes());
  },
  async "typed Client"(stack) {
    const server = stack.use(serve({ port: 0 }, echo));
    await server.ready;
    const client = new Client(server.addr);
    await client.ready;
    return typed(client, bytes());
  },
  async Pool(stack) {
    const server = stack.use(serve({ port: 0 }, echo));
    await server.ready;
    return new Pool({ backends: [server.addr] });
  },
  async JoinedWire(stack) {
    const server = stack.use(mount(anyone));
    await server.ready;
    const wire = join({ ...server.addr, identity: "one" });
    await wire.ready;
    return wire;
  },
  async WireSession(stack) {
    const server = stack.use(mount(anyone));
    await server.ready;
    const wire = stack.use(join({ ...server.addr, identity: "one", reconnect: false }));
    await wire.ready;
    return wire.session!;
  },
  async WireStream(stack) {
    const server = stack.use(
      mount({ ...anyone, handlers: { quiet: async (stream) => void await stream.read() } }),
    );
    await server.ready;
    const wire = stack.use(join({ ...server.addr, identity: "one", onError: () => {} }));
    return await wire.open("quiet");
  },
  async "typed WireStream"(stack) {
    const server = stack.use(
      mount({ ...anyone, handlers: { quiet: async (stream) => void await stream.read() } }),
    );
    await server.ready;
    const wire = stack.use(join({ ...server.addr, identity: "one", onError: () => {} }));
    return typed(await wire.open("quiet"), bytes());
  },
  MuxSession(stack) {
    const [near, far] = memoryPair();
    const server = new MuxSession(far, { role: "server" });
    stack.defer(async () => (server.abort(), void await server.closed));
    return Promise.resolve(new MuxSession(near, { role: "client" }));
  },
  async MuxStream(stack) {
    const [near, far] = memoryPair();
    const client = new MuxSession(near, { role: "client" });
    const server = new MuxSession(far, { role: "server" });
    stack.defer(async () => {
      client.abort();
      server.abort();
      await Promise.all([client.closed, server.closed]);
    });
    const [stream, there] = await Promise.all([client.openStream(), server.acceptStream()]);
    void there!.close().catch(() => {}); // waits for the end of the other direction
    return stream;
  },
  async IpcClient(stack, folder) {
    const channel = { name: "vocabulary", path: `${folder}/c.sock` };
    stack.use(await listenIpc(channel));
    return await connectIpc(channel);
  },
  async "typed IpcClient"(stack, folder) {
    const channel = { name: "vocabulary", path: `${folder}/t.sock` };
    stack.use(await listenIpc(channel));
    return typed(await connectIpc(channel), { 1: bytes() });
  },
  IpcPeer: (_, folder) => pairIpc({ name: "vocabulary", path: `${folder}/p.sock` }, () => ""),
  async IpcServerClient(stack, folder) {
    const channel = { name: "vocabulary", path: `${folder}/sc.sock` };
    const server = stack.use(await listenIpc(channel));
    const client = await connectIpc(channel);
    stack.defer(async () => (client.abort(), await client.closed));
    return server.clients.values().next().value!;
  },
};

for (const [kind, make] of Object.entries(LINKS)) {
  for (const end of ["close", "abort", "disposal", "disposal after abort"] as const) {
    Deno.test(`${kind} ends by ${end} as every link does`, async () => {
      await using folder = new TempDir();
      await using stack = new AsyncDisposableStack();
      const link = await make(stack, folder.path);
      assert(["open", "connected", "listening"].includes(link.status), link.status);
      if (end === "close") await link.close({ timeoutMs: 5000 });
      if (end.endsWith("abort")) link.abort(new Error("enough"));
      if (end.startsWith("disposal")) {
        await settles("disposal", Promise.resolve(link[Symbol.asyncDispose]()));
      }
      await settles("the end", link.closed);
      assert(["closed", "error", "ended"].includes(link.status), link.status);
    });
  }
}
