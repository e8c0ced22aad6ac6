// Admission: every limit at, below and above, who gives way, and random histories against a naive model.
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Admission, type RefusalReason } from "../../limits/admission.ts";
import type { AdmitResult } from "../../limits/ticket.ts";
import type { Ticket } from "../../limits/ticket.ts";
import type { AdmissionOptions } from "../../limits/admission_options.ts";
import { SourceExemptions } from "../../limits/source_exemptions.ts";

const SOURCE = "192.0.2.7";

/** Early drop never strikes. */
const lucky = () => 0.999999;

/** Early drop strikes whenever it may. */
const unlucky = () => 0;

function make(options: AdmissionOptions = {}, random: () => number = lucky): Admission<string> {
  return new Admission<string>(options, { random });
}

function admit(admission: Admission<string>, source: string | null, nowMs: number): Ticket<string> {
  const result = admission.admit(source, nowMs);
  assert(result.kind === "admitted", JSON.stringify(result));
  return result.ticket;
}

/** Another source for each number. */
function sourceOf(number: number): string {
  return `10.0.${number >> 8}.${number & 255}`;
}

/** Lets in that many pending connections, each of its own source. */
function fill(admission: Admission<string>, count: number, nowMs: number): Ticket<string>[] {
  return Array.from({ length: count }, (_, number) => admit(admission, sourceOf(number), nowMs));
}

function refused(reason: RefusalReason): AdmitResult<string> {
  return { kind: "refused", reason };
}

Deno.test("Admission lets in maxConnections and refuses the next one until one has gone", () => {
  const admission = make({ maxConnections: 3 });
  const tickets = [0, 1, 2].map((number) => admit(admission, sourceOf(number), 0));
  for (const ticket of tickets) assertEquals(admission.established(ticket, 1), true);
  assertEquals(admission.connections, 3);
  assertEquals(admission.admit(SOURCE, 1000), refused("too_many_connections"));
  const [first] = tickets;
  assert(first !== undefined);
  admission.release(first);
  admission.established(admit(admission, SOURCE, 1000), 1000);
  assertEquals(admission.admit(SOURCE, 2000), refused("too_many_connections"));
  assertEquals(admission.refused.too_many_connections, 2);
});

Deno.test("Admission counts a ticket once, however often it is released or established", () => {
  const admission = make();
  const ticket = admit(admission, SOURCE, 0);
  assertEquals([admission.connections, admission.pending], [1, 1]);
  assertEquals([admission.established(ticket, 1), admission.established(ticket, 2)], [true, false]);
  assertEquals([admission.connections, admission.pending, ticket.state], [1, 0, "established"]);
  admission.release(ticket);
  admission.release(ticket);
  assertEquals([admission.connections, admission.pending, ticket.state], [0, 0, "gone"]);
  assertEquals(admission.established(ticket, 3), false);
});

Deno.test("Admission makes the oldest pending connection give way once handshakes have stalled", () => {
  const admission = make({ maxPending: 3, stallMs: 50 });
  const silent = fill(admission, 3, 0);
  const result = admission.admit(SOURCE, 50);
  assert(result.kind === "admitted");
  assertEquals(result.replaced, silent[0]);
  assertEquals(silent[0]?.state, "gone");
  assertEquals([admission.connections, admission.pending, admission.replaced], [3, 3, 1]);
  // The server releases it too when its handshake rejects: that counts nothing twice.
  assert(silent[0] !== undefined);
  admission.release(silent[0]);
  assertEquals(admission.connections, 3);
});

Deno.test("Admission lets a newcomer wait while the oldest is younger than stallMs, no longer than that", () => {
  const admission = make({ maxPending: 3, stallMs: 50 });
  fill(admission, 3, 0);
  assertEquals(admission.admit(SOURCE, 0), { kind: "wait", waitMs: 50 });
  assertEquals(admission.admit(SOURCE, 20), { kind: "wait", waitMs: 30 });
  assertEquals(admission.admit(SOURCE, 49), { kind: "wait", waitMs: 1 });
  assertEquals(admission.admit(SOURCE, 50).kind, "admitted");
});

Deno.test("Admission cuts none while handshakes finish: a burst waits and is let in as they do", () => {
  const admission = make({ maxPending: 10, stallMs: 50 });
  const waiting = fill(admission, 10, 0);
  // Two hundred clients at once, a handshake every 4 ms.
  let nowMs = 0;
  for (let number = 10; number < 200; number++) {
    assertEquals(admission.admit(sourceOf(number), nowMs).kind, "wait");
    nowMs += 4;
    const done = waiting.shift();
    assert(done !== undefined && admission.established(done, nowMs));
    waiting.push(admit(admission, sourceOf(number), nowMs));
  }
  assertEquals(admission.replaced, 0);
});

Deno.test("Admission does not let who finishes a handshake now and then hold the door for silent ones", () => {
  const admission = make({ maxPending: 3, stallMs: 50 });
  fill(admission, 2, 0);
  for (let nowMs = 20; nowMs < 1000; nowMs += 20) {
    admission.established(admit(admission, SOURCE, nowMs), nowMs);
  }
  admit(admission, SOURCE, 990);
  assertEquals(admission.admit("192.0.2.8", 999), { kind: "wait", waitMs: 1 });
  const result = admission.admit("192.0.2.8", 1000);
  assertEquals(result.kind === "admitted" && result.replaced?.source, sourceOf(0));
});

Deno.test("Admission lets a burst of 500 in whose handshakes all run at once, and none of them gives way", () => {
  const admission = make({}, unlucky);
  const tickets = Array.from({ length: 500 }, (_, number) => {
    // The first handshake finishes late as all share the same processor.
    const result = admission.admit(sourceOf(number), number * 2);
    assert(result.kind === "admitted");
    assertEquals(result.replaced, null);
    return result.ticket;
  });
  for (const ticket of tickets) assertEquals(admission.established(ticket, 2000), true);
});

Deno.test("Admission serves a good client at once beside 1000 silent ones of 1000 sources", () => {
  const admission = make({}, unlucky);
  let nowMs = 0;
  for (let number = 0; number < 1000; number++) {
    let result = admission.admit(sourceOf(number), nowMs);
    if (result.kind === "wait") {
      nowMs += result.waitMs;
      result = admission.admit(sourceOf(number), nowMs);
    }
    assertEquals(result.kind, "admitted");
  }
  assert(nowMs <= 50);
  assert(admission.pending <= 500);
  const good = admission.admit(SOURCE, nowMs + 50);
  assert(good.kind === "admitted");
  assertEquals(admission.established(good.ticket, nowMs + 60), true);
});

Deno.test("Admission holds maxPending with pendingDrop newest, and refuses those that come", () => {
  const admission = make({ pendingDrop: "newest", maxPending: 3, pendingDropStart: 3 });
  const tickets = fill(admission, 3, 0);
  assertEquals(admission.admit(SOURCE, 10_000), refused("too_many_pending"));
  assert(tickets[1] !== undefined);
  admission.established(tickets[1], 10_000);
  assertEquals(admission.admit(SOURCE, 10_000).kind, "admitted");
  assertEquals(admission.admit(SOURCE, 10_000), refused("too_many_pending"));
});

Deno.test("Admission drops early from pendingDropStart on, with a chance that grows to 1 at maxPending", () => {
  const options: AdmissionOptions = {
    pendingDrop: "newest",
    maxPending: 100,
    pendingDropStart: 30,
  };
  for (const pending of [0, 29, 30, 31, 65, 99]) {
    let draw = lucky();
    const admission = make(options, () => draw);
    fill(admission, pending, 0);
    const chance = Math.max(0, (pending - 30) / 70);
    if (chance > 0) {
      draw = chance - 1e-9;
      assertEquals(
        admission.admit(SOURCE, 0),
        refused("early_drop"),
        `${pending} below the chance`,
      );
    }
    draw = chance;
    assertEquals(admission.admit(SOURCE, 0).kind, "admitted", `${pending} at the chance`);
  }
});

Deno.test("Admission with early drop makes the oldest give way only once handshakes have stalled", () => {
  const admission = make({ maxPending: 100, pendingDropStart: 30, stallMs: 50 }, unlucky);
  const silent = fill(admission, 31, 0);
  const early = admission.admit(SOURCE, 49);
  assert(early.kind === "admitted");
  assertEquals(early.replaced, null);
  const late = admission.admit(SOURCE, 50);
  assert(late.kind === "admitted");
  assertEquals(late.replaced, silent[0]);
});

Deno.test("Admission holds a source to maxPendingPerSource, and makes it give way itself", () => {
  const admission = make({ maxPendingPerSource: 2, stallMs: 50 });
  const other = admit(admission, "192.0.2.8", 0);
  const own = [admit(admission, SOURCE, 1), admit(admission, SOURCE, 1)];
  assertEquals(admission.admit(SOURCE, 1), { kind: "hold", waitMs: 500 });
  assertEquals(admission.admit(SOURCE, 500), { kind: "hold", waitMs: 1 });
  const result = admission.admit(SOURCE, 501);
  assert(result.kind === "admitted");
  assertEquals(result.replaced, own[0]);
  assertEquals(other.state, "pending");
  assert(own[1] !== undefined);
  admission.established(own[1], 502);
  assertEquals(admission.admit(SOURCE, 502).kind, "admitted");
  // Its handshakes finish: what comes next waits, and cuts none of them.
  assertEquals(admission.admit(SOURCE, 900), { kind: "hold", waitMs: 102 });
  assertEquals(admission.refused.too_many_pending_from_source, 0);
});

Deno.test("Admission refuses above maxPendingPerSource with pendingDrop newest, however old the others are", () => {
  const admission = make({ maxPendingPerSource: 2, pendingDrop: "newest" });
  admit(admission, SOURCE, 0);
  admit(admission, SOURCE, 0);
  assertEquals(admission.admit(SOURCE, 4_000), refused("too_many_pending_from_source"));
});

Deno.test("Admission leaves loopback and what has no source out of maxPendingPerSource, unless asked not to", () => {
  for (const source of [null, "127.0.0.1", "::1"]) {
    const admission = make({ maxPendingPerSource: 1, pendingDropStart: 100 });
    for (let count = 0; count < 50; count++) admit(admission, source, 0);
  }
  const strict = new Admission({ maxPendingPerSource: 1 }, {
    exemptions: new SourceExemptions({ limitLoopback: true }),
  });
  strict.admit("127.0.0.1", 0);
  assertEquals(strict.admit("127.0.0.1", 0), { kind: "hold", waitMs: 500 });
});

Deno.test("Admission makes room at maxConnections from stalled handshakes, never from open connections", () => {
  const admission = make({ maxConnections: 2, stallMs: 50 });
  const open = admit(admission, sourceOf(0), 0);
  admission.established(open, 0);
  const silent = admit(admission, sourceOf(1), 0);
  assertEquals(admission.admit(SOURCE, 49), refused("too_many_connections"));
  const result = admission.admit(SOURCE, 50);
  assert(result.kind === "admitted");
  assertEquals(result.replaced, silent);
  admission.established(result.ticket, 51);
  assertEquals(admission.admit(SOURCE, 5_000), refused("too_many_connections"));
  assertEquals(open.state, "established");
});

Deno.test("Admission counts no more pending than maxConnections", () => {
  const admission = make({ maxConnections: 5, maxPending: 100 });
  fill(admission, 5, 0);
  assertEquals(admission.admit(SOURCE, 0), refused("too_many_connections"));
});

Deno.test("Admission holds a source to maxConnectionsPerSource, loopback too", () => {
  for (const source of [SOURCE, "127.0.0.1"]) {
    const admission = make({ maxConnectionsPerSource: 2 });
    const first = admit(admission, source, 0);
    admission.established(first, 0);
    admission.established(admit(admission, source, 0), 0);
    assertEquals(admission.admit(source, 1_000), refused("too_many_from_source"));
    assertEquals(admission.admit("192.0.2.8", 1_000).kind, "admitted");
    admission.release(first);
    assertEquals(admission.admit(source, 1_000).kind, "admitted");
  }
});

Deno.test("Admission holds a source to its rate of connections, at, below and above it", () => {
  const admission = make({ connectionsPerSecondPerSource: 10, connectionBurstPerSource: 2 });
  const attempt = (nowMs: number) => {
    const result = admission.admit(SOURCE, nowMs);
    if (result.kind === "admitted") admission.release(result.ticket);
    return result.kind === "refused" ? result.reason : result.kind;
  };
  assertEquals([attempt(0), attempt(0), attempt(0)], ["admitted", "admitted", "rate_limited"]);
  assertEquals([attempt(99), attempt(100), attempt(100)], [
    "rate_limited",
    "admitted",
    "rate_limited",
  ]);
  assertEquals(admission.admit("192.0.2.8", 100).kind, "admitted");
  assertEquals(admission.admit(null, 100).kind, "admitted");
});

Deno.test("Admission takes no token from a source's rate for a connection that it makes wait", () => {
  const admission = make({ maxPending: 1, stallMs: 50, connectionsPerSecondPerSource: 1 });
  admit(admission, "192.0.2.8", 0);
  for (let nowMs = 0; nowMs < 50; nowMs += 10) {
    assertEquals(admission.admit(SOURCE, nowMs).kind, "wait");
  }
  assertEquals(admission.admit(SOURCE, 50).kind, "admitted");
  assertEquals(admission.admit(SOURCE, 51), refused("rate_limited"));
});

Deno.test("Admission refuses everything after drain(), and still counts what it has let in", () => {
  const admission = make();
  const ticket = admit(admission, SOURCE, 0);
  admission.drain();
  assertEquals(admission.admit(SOURCE, 0), refused("draining"));
  assertEquals(admission.established(ticket, 1), true);
  admission.release(ticket);
  assertEquals(admission.connections, 0);
});

Deno.test("Admission.refused is a copy that counts by reason", () => {
  const admission = make();
  admission.drain();
  admission.admit(SOURCE, 0);
  const copy = admission.refused;
  copy.draining = 50;
  assertEquals(admission.refused.draining, 1);
  assertEquals(Object.values(admission.refused).reduce((sum, count) => sum + count, 0), 1);
});

Deno.test("Admission refuses options out of range", () => {
  const cases: [AdmissionOptions, string][] = [
    [
      { maxConnections: 0 },
      `Cannot limit connections: "maxConnections" must be 1 to 16777216, current value is 0`,
    ],
    [{ maxPending: 0 }, `"maxPending"`],
    [{ pendingDropStart: -1 }, `"pendingDropStart"`],
    [{ maxPendingPerSource: 0 }, `"maxPendingPerSource"`],
    [{ stallMs: 0 }, `"stallMs"`],
    [{ maxConnectionsPerSource: 0 }, `"maxConnectionsPerSource"`],
    [{ connectionsPerSecondPerSource: 0 }, `"connectionsPerSecondPerSource"`],
    [
      { connectionsPerSecondPerSource: 1, connectionBurstPerSource: 0 },
      `"connectionBurstPerSource"`,
    ],
    [{ maxSources: 0 }, `"maxSources"`],
  ];
  for (const [options, text] of cases) assertThrows(() => make(options), RangeError, text);
  assertThrows(
    () => make({ connectionBurstPerSource: 5 }),
    TypeError,
    `needs "connectionsPerSecondPerSource"`,
  );
  assertThrows(
    // deno-lint-ignore no-explicit-any
    () => make({ pendingDrop: "random" as any }),
    RangeError,
    `must be "oldest" or "newest"`,
  );
});

Deno.test("Admission keeps every limit and counts right, through any history", () => {
  const options: AdmissionOptions = {
    maxConnections: 6,
    maxPending: 4,
    pendingDropStart: 2,
    maxPendingPerSource: 2,
    maxConnectionsPerSource: 3,
    stallMs: 50,
  };
  const sources = ["192.0.2.1", "192.0.2.2", "127.0.0.1", "2001:db8::/64", null];
  const step = fc.record({
    action: fc.constantFrom("admit", "admit", "admit", "establish", "release"),
    source: fc.constantFrom(...sources),
    pick: fc.nat(99),
    draw: fc.double({ min: 0, max: 0.999, noNaN: true }),
    restMs: fc.constantFrom(0, 1, 10, 49, 60, 2_000),
  });
  const policy = fc.constantFrom<"oldest" | "newest">("oldest", "newest");
  fc.assert(fc.property(policy, fc.array(step, { maxLength: 120 }), (pendingDrop, steps) => {
    let draw = 0;
    const admission = make({ ...options, pendingDrop }, () => draw);
    // The model: all tickets that are not gone, the oldest first.
    let held: { ticket: Ticket<string>; pending: boolean }[] = [];
    let nowMs = 0;
    let turnedAway = 0;
    for (const { action, source, pick, draw: drawn, restMs } of steps) {
      nowMs += restMs;
      draw = drawn;
      const picked = held[pick % Math.max(1, held.length)];
      if (action === "establish" && picked !== undefined) {
        assertEquals(admission.established(picked.ticket, nowMs), picked.pending);
        picked.pending = false;
      } else if (action === "release" && picked !== undefined) {
        admission.release(picked.ticket);
        held = held.filter((candidate) => candidate !== picked);
      } else if (action === "admit") {
        const result = admission.admit(source, nowMs);
        if (result.kind === "admitted") {
          if (result.replaced !== null) {
            const victim = held.find((candidate) => candidate.ticket === result.replaced);
            assert(
              pendingDrop === "oldest" && victim?.pending &&
                nowMs - victim.ticket.admittedAtMs >= 50,
            );
            held = held.filter((candidate) => candidate !== victim);
          }
          held.push({ ticket: result.ticket, pending: true });
        } else if (result.kind === "wait") {
          assert(pendingDrop === "oldest" && result.waitMs > 0 && result.waitMs <= 50);
          assertEquals(held.filter(({ pending }) => pending).length, 4);
        } else if (result.kind === "hold") {
          assert(pendingDrop === "oldest" && result.waitMs > 0 && result.waitMs <= 500);
          assertEquals(
            held.filter(({ pending, ticket }) => pending && ticket.source === source).length,
            2,
          );
        } else {
          turnedAway++;
        }
      }
      const pending = held.filter((candidate) => candidate.pending);
      assertEquals([admission.connections, admission.pending], [held.length, pending.length]);
      assert(held.length <= 6 && pending.length <= 4);
      for (const limited of sources) {
        if (limited === null) continue;
        const own = held.filter(({ ticket }) => ticket.source === limited);
        assert(own.length <= 3);
        assert(limited === "127.0.0.1" || own.filter((candidate) => candidate.pending).length <= 2);
      }
    }
    assertEquals(
      Object.values(admission.refused).reduce((sum, count) => sum + count, 0),
      turnedAway,
    );
    for (const { ticket } of held) admission.release(ticket);
    assertEquals([admission.connections, admission.pending, admission.sources], [0, 0, 0]);
  }));
});
