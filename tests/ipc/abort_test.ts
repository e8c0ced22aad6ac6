// Aborts of each kind of endpoint, and disposal after them. The states of a server.
import { assert, assertEquals } from "@std/assert";
import { ClosedError } from "../../errors.ts";
import {
  connectIpc,
  type IpcClient,
  type IpcPeer,
  type IpcServer,
  type IpcServerClient,
  listenIpc,
  pairIpc,
} from "../../ipc/mod.ts";
import { errorOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";
import { Channel } from "./channels.ts";

type End = IpcClient | IpcPeer | IpcServer | IpcServerClient;

/** An endpoint, a wait that its abort ends, and its other side. */
interface Case {
  readonly end: End;
  readonly other: End;
  readonly wait: () => Promise<unknown>;
}

const onQuery = () => new Promise<string>(() => {});

/** Listens, and connects. Neither side answers queries. */
async function connected({ options }: Channel) {
  const server = await listenIpc({ ...options, onQuery });
  const client = await connectIpc({ ...options, onQuery, reconnect: false });
  await until("the client is there", () => server.status === "connected");
  const [there] = server.clients.values();
  return { server, client, there: there! };
}

const CASES: Record<string, (channel: Channel) => Promise<Case>> = {
  IpcClient: async (channel) => {
    const { server, client } = await connected(channel);
    return { end: client, other: server, wait: () => client.query("") };
  },
  IpcPeer: async ({ options }) => {
    const other = await pairIpc(options, onQuery);
    const end = await pairIpc({ ...options, reconnect: false }, onQuery);
    await end.connected();
    return { end, other, wait: () => end.query("") };
  },
  IpcServerClient: async (channel) => {
    const { server, there } = await connected(channel);
    return { end: there, other: server, wait: () => there.query("") };
  },
  IpcServer: async (channel) => {
    const { server, client, there } = await connected(channel);
    return { end: server, other: client, wait: () => there.query("") };
  },
};

for (const [kind, make] of Object.entries(CASES)) {
  Deno.test(`${kind}.abort takes any reason and none, and disposal after it never rejects`, async () => {
    const given = new RangeError("enough");
    for (const reasons of [[given], ["enough"], []]) {
      await using channel = new Channel();
      const { end, other, wait } = await make(channel);
      const waiting = errorOf(wait());
      end.abort(...reasons);
      const error = await settles("the wait", waiting);
      if (reasons[0] === given) {
        assertEquals(error, given);
      } else {
        assert(error instanceof ClosedError);
        assertEquals([error.code, error.cause], ["ERR_CLOSED", reasons[0]]);
      }
      await settles("the disposal", end[Symbol.asyncDispose]());
      other.abort();
      await settles("the disposal of the other side", other[Symbol.asyncDispose]());
    }
  });
}

Deno.test("IpcServer is ready at once, and its state leads from listening over draining to stopped", async () => {
  const ends: Record<string, (server: IpcServer) => unknown> = {
    shutdown: (server) => server.shutdown(),
    abort: (server) => server.abort(),
    disposal: (server) => server[Symbol.asyncDispose](),
  };
  for (const [name, end] of Object.entries(ends)) {
    await using channel = new Channel();
    const { server, client } = await connected(channel);
    await settles("ready", server.ready);
    assertEquals(server.state, "listening", name);
    const ended = end(server);
    assertEquals(server.state, "draining", name);
    await settles("the end", Promise.all([ended, server.finished]));
    assertEquals([server.state, server.clients.size], ["stopped", 0], name);
    await client.closed;
  }
});
