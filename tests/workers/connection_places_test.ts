// Tests of what workers count together, in memory that they share.
import { assertEquals } from "@std/assert";
import type { ServerCounters } from "../../stats/data/counters.ts";
import { Admission } from "../../limits/admission.ts";
import { ConnectionPlaces } from "../../workers/connection_places.ts";
import { SERVER_BOOKS, WorkerBooks } from "../../workers/worker_books.ts";

/** Two workers that share their places. */
function twoPlaces(): readonly [ConnectionPlaces, ConnectionPlaces] {
  const all = ConnectionPlaces.allocate();
  return [
    new ConnectionPlaces(all, ConnectionPlaces.allocate()),
    new ConnectionPlaces(all, ConnectionPlaces.allocate()),
  ];
}

Deno.test("ConnectionPlaces gives out each place once, and takes back those of a worker that is gone", () => {
  const [one, two] = twoPlaces();
  assertEquals([one.tryAdd(3), one.tryAdd(3), two.tryAdd(3)], [true, true, true]);
  assertEquals([one.tryAdd(3), two.tryAdd(3), one.current, one.own], [false, false, 3, 2]);
  two.subtract();
  assertEquals([one.tryAdd(3), two.tryAdd(3)], [true, false]);
  one.release();
  assertEquals([two.current, one.own], [0, 0]);
});

Deno.test("ConnectionPlaces.peak is that of all workers together", () => {
  const [one, two] = twoPlaces();
  for (const places of [one, two, one]) places.opened();
  one.closed();
  two.opened();
  assertEquals([one.peak, two.peak], [3, 3]);
  one.release();
  two.opened();
  assertEquals(two.peak, 3);
});

Deno.test("Admission counts maxConnections over all who share it, and one that gives way leaves its place", () => {
  const [one, two] = twoPlaces();
  const here = new Admission({ maxConnections: 2, stallMs: 10 }, { shared: one });
  const there = new Admission({ maxConnections: 2, stallMs: 10 }, { shared: two });
  const first = there.admit("192.0.2.1", 0);
  const second = here.admit("192.0.2.2", 0);
  assertEquals([first.kind, second.kind, one.current], ["admitted", "admitted", 2]);
  assertEquals(there.admit("192.0.2.3", 1), { kind: "refused", reason: "too_many_connections" });
  // Its own connection has stalled, and makes room for a newcomer: no place is free meanwhile.
  const third = here.admit("192.0.2.4", 50);
  assertEquals([third.kind, one.current, one.own], ["admitted", 2, 1]);
  if (second.kind === "admitted") here.release(second.ticket);
  assertEquals(one.current, 2);
  if (third.kind === "admitted") here.release(third.ticket);
  assertEquals([one.current, there.admit("192.0.2.3", 51).kind], [1, "admitted"]);
});

Deno.test("WorkerBooks shows in one thread what another counts", () => {
  const memory = WorkerBooks.allocate(SERVER_BOOKS);
  const [places] = twoPlaces();
  const [writer, reader] = [
    new WorkerBooks<ServerCounters>(SERVER_BOOKS, memory, places),
    new WorkerBooks<ServerCounters>(SERVER_BOOKS, memory),
  ];
  writer.counters.bytesIn += 2 ** 40;
  writer.counters.connectionsOpened++;
  writer.refused.penalized++;
  writer.requests.add(3);
  writer.handshakes.add(30, 2);
  assertEquals({ ...reader.counters }, { ...writer.counters });
  assertEquals([reader.counters.bytesIn, reader.refused.penalized, places.peak], [2 ** 40, 1, 1]);
  assertEquals([reader.requests.stats().sumMs, reader.handshakes.stats().count], [3, 2]);
});
