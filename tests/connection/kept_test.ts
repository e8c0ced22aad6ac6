// What connections keep in memory: little while they are idle, nothing of a burst.
import { assert } from "@std/assert";
import { IdTable } from "../../collections/id_table.ts";
import { Connection } from "../../connection.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import { serve } from "../../server.ts";
import { keptBytes } from "../support/programs/heap.ts";
import { ManualSweeper } from "../support/simulation/memory_sweeper.ts";
import { settle } from "../support/simulation/memory_connections.ts";
import { until } from "../support/wait.ts";

/** Echoes messages until the peer ends. */
async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) await connection.send(message);
}

/** Sends so many messages of so many bytes at once, and receives them back. */
async function burst(connection: Connection, count: number, bytes: number): Promise<void> {
  for (let i = 0; i < count; i++) void connection.send(new Uint8Array(bytes));
  for (let i = 0; i < count; i++) await connection.receive();
}

/** Two connections in memory, of which the second echoes. */
function echoPair(): Connection {
  const [near, far] = memoryPair();
  const sweeper = new ManualSweeper();
  void echo(new Connection(far, { sweeper })).catch(() => {});
  return new Connection(near, { sweeper });
}

/** What a number of things keep, each, that `make` makes. The first ones warm up the machine. */
async function eachKeeps<T>(count: number, make: () => Promise<T>): Promise<number> {
  const held: T[] = [];
  for (let i = 0; i < count; i++) held.push(await make());
  await settle();
  const before = keptBytes();
  for (let i = 0; i < count; i++) held.push(await make());
  await settle();
  const kept = (keptBytes() - before) / count;
  assert(held.length === 2 * count);
  return kept;
}

Deno.test("Two idle connections in memory keep less than 10 KiB, one of them in a for await", async () => {
  const connections: Connection[] = [];
  const kept = await eachKeeps(120, async () => {
    const connection = echoPair();
    connections.push(connection);
    await burst(connection, 1, 10);
    return connection;
  });
  for (const connection of connections) connection.abort();
  assert(kept < 10 * 1024, `${kept} bytes`);
});

Deno.test("An idle connection of a server keeps less than 9.5 KiB beside its read buffer of 4 KiB", async () => {
  const server = serve({ maxPendingPerSource: 1000 }, echo);
  await server.ready;
  const { addr } = server;
  assert(addr.transport === "tcp");
  const conns: Deno.TcpConn[] = [];
  const kept = await eachKeeps(80, async () => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: addr.port });
    conns.push(conn);
    await until("it is served", () => server.connections.size === conns.length);
    await conn.write(new Uint8Array([0, 0, 0, 1, 65]));
    await conn.read(new Uint8Array(16));
    return conn;
  });
  for (const conn of conns) conn.close();
  await server.shutdown();
  assert(kept < 13.5 * 1024, `${kept} bytes`);
});

Deno.test("A burst of large messages leaves nothing behind", async () => {
  const connections = Array.from({ length: 8 }, echoPair);
  await Promise.all(connections.map((connection) => burst(connection, 40, 65_536)));
  await Promise.all(connections.map((connection) => burst(connection, 1, 10)));
  const before = keptBytes();
  await Promise.all(connections.map((connection) => burst(connection, 40, 65_536)));
  // A loop holds its last message until the next one comes.
  await Promise.all(connections.map((connection) => burst(connection, 1, 10)));
  await settle();
  const kept = (keptBytes() - before) / connections.length;
  for (const connection of connections) connection.abort();
  assert(kept < 4 * 1024, `${kept} bytes`);
});

Deno.test("IdTable keeps no places of a burst", () => {
  const tables = Array.from({ length: 40 }, () => new IdTable<number>());
  const fillAndEmpty = (count: number) => {
    for (const table of tables) {
      for (let id = 0; id < count; id++) table.set(id, id);
      for (let id = 0; id < count; id++) table.delete(id);
    }
  };
  fillAndEmpty(4);
  const before = keptBytes();
  fillAndEmpty(2000);
  const kept = (keptBytes() - before) / tables.length;
  assert(kept < 4096, `${kept} bytes`);
});
