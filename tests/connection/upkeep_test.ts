// Upkeep: connections at rest cost a sweep next to nothing, and their times still run out.
import { assert, assertEquals } from "@std/assert";
import { scriptedConnection, settle } from "../support/simulation/memory_connections.ts";

Deno.test("Upkeep of a connection at rest looks at two counters until a time may have run out", async () => {
  const reports: number[] = [];
  const onTraffic = ({ bytesIn, messagesOut }: { bytesIn: number; messagesOut: number }) =>
    void reports.push(bytesIn, messagesOut);
  const options = { idleTimeoutMs: 60_000, tellEachRead: false, onTraffic };
  const { connection, sweeper, transport } = scriptedConnection(options);
  sweeper.advance(1000);
  reports.length = 0;
  sweeper.advance(40_000);
  assertEquals(reports, [], "nothing is reported where nothing moves");
  // Traffic wakes it, of either direction.
  connection.send("x");
  await connection.flush();
  sweeper.advance(100);
  assertEquals(reports, [0, 1]);
  transport.feed(new Uint8Array([0, 0, 0, 1, 65]));
  await settle();
  sweeper.advance(100);
  assertEquals(reports.slice(2), [5, 0]);
  // Since the last of it was seen a minute must pass.
  sweeper.advance(59_800);
  assertEquals(connection.status, "open");
  await connection.receive();
  sweeper.advance(200);
  assertEquals(connection.status, "closing");
  connection.abort();
});

Deno.test("Upkeep sees a write that begins and waits while the connection is at rest", async () => {
  const { connection, sweeper, transport } = scriptedConnection({ writeTimeoutMs: 1000 });
  sweeper.advance(5000);
  transport.hold();
  connection.send("x");
  await settle();
  sweeper.advance(1000);
  assertEquals(connection.status, "open");
  sweeper.advance(100);
  assertEquals(connection.status, "closed");
  const { error } = await connection.closed;
  assertEquals((error as { code?: string }).code, "ERR_SLOW_CONSUMER");
});

Deno.test("Upkeep does not rest while a write waits or bytes wait for a reader", async () => {
  let looks = 0;
  const onTraffic = () => void looks++;
  const options = { tellEachRead: false, onTraffic };
  const { connection, sweeper, transport } = scriptedConnection(options);
  /** How often it was looked at in ten sweeps, after two in which it may notice that nothing moves. */
  const inTenSweeps = () => {
    sweeper.advance(200);
    looks = 0;
    sweeper.advance(1000);
    return looks;
  };
  assertEquals(inTenSweeps(), 0);
  transport.hold();
  connection.send("x");
  await settle();
  assertEquals(inTenSweeps(), 10);
  transport.releaseAll();
  await settle();
  assertEquals(inTenSweeps(), 0);
  transport.feed(new Uint8Array([0, 0]));
  await settle();
  assertEquals(inTenSweeps(), 10);
  transport.feed(new Uint8Array([0, 1, 65]));
  await connection.receive();
  assertEquals(inTenSweeps(), 0);
  connection.abort();
});

for (const receiveTimeoutMs of [0, 3000]) {
  Deno.test(`Upkeep finds a silent peer after a rest, with receiveTimeoutMs ${receiveTimeoutMs}`, async () => {
    const { connection, sweeper } = scriptedConnection({ receiveTimeoutMs, idleTimeoutMs: 4000 });
    const limitMs = receiveTimeoutMs || 4000;
    sweeper.advance(limitMs);
    assertEquals(connection.status, "open");
    sweeper.advance(100);
    await settle();
    assert(connection.status !== "open");
    connection.abort();
  });
}
