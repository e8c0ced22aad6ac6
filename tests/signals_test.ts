// Signals of users: whatever takes one for its life leaves no listener on it once it is over. A
// signal often lives as long as its program.
import { assertEquals } from "@std/assert";
import { Client, listenTransport, serve } from "@parley/parley";
import { connectIpc, listenIpc, pairIpc } from "@parley/parley/ipc";
import { serveStats } from "@parley/parley/stats";
import { hub, join, mount } from "@parley/parley/wire";
import { Channel } from "./ipc/channels.ts";
import { watchedSignal } from "./support/watched_signal.ts";

/** One life under a signal, from the call to its end; `busy` is a port that is taken. */
type Life = (signal: AbortSignal, busy: number) => Promise<unknown>;

const quiet = { onError() {} };

const LIVES: Readonly<Record<string, Life>> = {
  async "listenTransport() that is shut down"(signal) {
    const listener = listenTransport({ signal });
    await listener.ready;
    await listener.shutdown();
  },
  async "listenTransport() that is aborted"(signal) {
    const listener = listenTransport({ signal });
    await listener.ready;
    listener.abort();
    await listener.finished.catch(() => {});
  },
  async "listenTransport() that is shut down before it listens"(signal) {
    const listener = listenTransport({ signal, ...quiet });
    await listener.shutdown();
  },
  async "listenTransport() on a port in use"(signal, port) {
    await listenTransport({ signal, port, ...quiet }).ready.catch(() => {});
  },
  async "mount() that is closed"(signal) {
    await using wire = mount({ signal, insecureAnyone: true });
    await wire.ready;
  },
  async "mount() that is aborted"(signal) {
    const wire = mount({ signal, insecureAnyone: true });
    await wire.ready;
    wire.abort();
    await wire.finished;
  },
  async "mount() on a port in use"(signal, port) {
    await mount({ signal, port, insecureAnyone: true, ...quiet }).ready.catch(() => {});
  },
  async "hub() that is closed"(signal) {
    await using wire = hub({ signal, authorize: () => true });
    await wire.ready;
  },
  async "join() that is closed"(signal) {
    await using wire = mount({ insecureAnyone: true });
    await wire.ready;
    await using joined = join({ ...wire.addr, identity: "a", signal });
    await joined.ready;
  },
  async "join() that cannot"(signal) {
    const joined = join({ port: 1, identity: "a", signal, reconnect: false, ...quiet });
    await joined.closed;
  },
  async "Client that is closed"(signal) {
    await using server = serve(async (conn) => {
      for await (const _ of conn);
    });
    await server.ready;
    await using client = new Client({ ...server.addr, signal });
    await client.send("one");
  },
  async "Client that gives up"(signal, port) {
    const client = new Client({ port: port === 1 ? 2 : 1, signal, reconnect: { maxAttempts: 0 } });
    await client.closed;
  },
  async "serveStats() that is closed"(signal) {
    await using server = serve(() => {});
    await using page = serveStats(server, { signal, port: 0 });
    await page.ready;
  },
  async "listenIpc() and connectIpc() that are closed"(signal) {
    await using channel = new Channel();
    await using _server = await listenIpc({ ...channel.options, signal });
    await using _client = await connectIpc({ ...channel.options, signal });
  },
  async "connectIpc() without a server"(signal) {
    await using channel = new Channel();
    await connectIpc({ ...channel.options, signal, connectTimeoutMs: 1 }).catch(() => {});
  },
  async "pairIpc() that is closed"(signal) {
    await using channel = new Channel();
    await using _peer = await pairIpc({ ...channel.options, signal }, () => "");
  },
  async "serveStats() on a port in use"(signal, port) {
    await using server = serve(() => {});
    await serveStats(server, { signal, port }).ready.catch(() => {});
  },
};

for (const [name, life] of Object.entries(LIVES)) {
  Deno.test(`${name} leaves no listener on the user's signal`, async () => {
    await using taken = listenTransport();
    await taken.ready;
    const { addr } = taken;
    const watched = watchedSignal();
    await life(watched.signal, addr.transport === "tcp" ? addr.port : 0);
    assertEquals(watched.listeners, 0);
  });
}
