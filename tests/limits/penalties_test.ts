// Penalties: what is owed, when it is refused, what pays off, families, exemptions, bounded memory.
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type Offence, Penalties, type PenaltiesOptions } from "../../limits/penalties.ts";
import { SourceExemptions } from "../../limits/source_exemptions.ts";

const SOURCE = "192.0.2.7";

const OFFENCES: readonly Offence[] = ["failed_handshake", "failed_auth", "handshake_timeout"];

Deno.test("Penalties refuses a source only once it owes more than 15 s: at, below and above", () => {
  const penalties = new Penalties();
  assertEquals(penalties.punish(SOURCE, "failed_auth", 0), 0); // 5 s
  assertEquals(penalties.punish(SOURCE, "failed_handshake", 0), 0); // 10 s
  assertEquals(penalties.punish(SOURCE, "failed_auth", 0), 0); // 15 s
  assertEquals(penalties.punish(SOURCE, "failed_auth", 0), 20_000);
  assertEquals(penalties.remainingMs("192.0.2.8", 0), 0);
});

Deno.test("Penalties counts 10 s for a handshake that ran out of time: the second one refuses", () => {
  const penalties = new Penalties();
  assertEquals(penalties.punish(SOURCE, "handshake_timeout", 0), 0);
  assertEquals(penalties.punish(SOURCE, "handshake_timeout", 1_000), 19_000);
});

Deno.test("Penalties refuses a source until everything is paid off, and not only what is above the grace", () => {
  const penalties = new Penalties();
  for (let count = 0; count < 4; count++) penalties.punish(SOURCE, "failed_auth", 0);
  assertEquals(penalties.remainingMs(SOURCE, 19_999), 1);
  assertEquals(penalties.remainingMs(SOURCE, 20_000), 0);
  assertEquals(penalties.size, 0);
  assertEquals(penalties.punish(SOURCE, "failed_auth", 20_000), 0, "it starts anew");
});

Deno.test("Penalties forgets what is owed as time passes: a mistake every six seconds never refuses", () => {
  const penalties = new Penalties();
  for (let count = 0; count < 1000; count++) {
    assertEquals(penalties.punish(SOURCE, "failed_auth", count * 6_000), 0);
  }
});

Deno.test("Penalties refuses for 600 s at most, whatever came together", () => {
  const penalties = new Penalties();
  for (let count = 0; count < 1000; count++) penalties.punish(SOURCE, "failed_auth", 0);
  assertEquals(penalties.remainingMs(SOURCE, 0), 600_000);
});

Deno.test("Penalties takes offences of connections that ran side by side for one", () => {
  const penalties = new Penalties();
  // An office loses its network: sixteen handshakes that began within a second run out of time.
  for (let client = 0; client < 16; client++) {
    penalties.punish(SOURCE, "handshake_timeout", 5_000 + client * 60, client * 60);
  }
  assertEquals(penalties.remainingMs(SOURCE, 6_000), 0);
  // Attempts that begin after the one before has failed are counted, each.
  for (let attempt = 1; attempt <= 3; attempt++) {
    penalties.punish(SOURCE, "failed_auth", 6_000 + attempt * 10, 6_000 + attempt * 10);
  }
  assert(penalties.remainingMs(SOURCE, 6_100) > 0);
});

Deno.test("Penalties.credit() pays off: nineteen good clients and a bad one behind an address are never refused", () => {
  const penalties = new Penalties();
  for (let nowMs = 0; nowMs < 600_000; nowMs += 1_000) {
    for (let client = 0; client < 19; client++) penalties.credit(SOURCE, nowMs);
    penalties.punish(SOURCE, "failed_auth", nowMs);
    assertEquals(penalties.remainingMs(SOURCE, nowMs), 0);
  }
});

Deno.test("Penalties refuses no address that has brought a good client within an hour, however hard another one tries", () => {
  const penalties = new Penalties();
  penalties.credit(SOURCE, 0);
  for (let count = 0; count < 1000; count++) penalties.punish(SOURCE, "failed_auth", count);
  assertEquals(penalties.remainingMs(SOURCE, 1_000), 0);
  assertEquals(penalties.remainingMs(SOURCE, 3_599_999), 0);
  const later = new Penalties();
  later.credit(SOURCE, 0);
  for (let count = 0; count < 4; count++) later.punish(SOURCE, "failed_auth", 3_600_000);
  assertEquals(later.remainingMs(SOURCE, 3_600_000), 20_000);
});

Deno.test("Penalties.credit() opens an address again whose good client was let in before the refusal", () => {
  const penalties = new Penalties();
  for (let count = 0; count < 4; count++) penalties.punish(SOURCE, "failed_auth", 0);
  assert(penalties.remainingMs(SOURCE, 0) > 0);
  penalties.credit(SOURCE, 10);
  penalties.credit(null, 10);
  assertEquals(penalties.remainingMs(SOURCE, 10), 0);
});

Deno.test("Penalties leaves alone what has no source, loopback, and exempt networks", () => {
  const penalties = new Penalties(
    { graceMs: 0 },
    new SourceExemptions({ exemptSources: ["10.0.0.0/8"] }),
  );
  for (const source of [null, "127.0.0.1", "::1", "10.1.2.3"]) {
    assertEquals(penalties.punish(source, "failed_auth", 0), 0);
    assertEquals(penalties.remainingMs(source, 0), 0);
  }
  assertEquals(penalties.size, 0);
  assertEquals(penalties.punish("11.1.2.3", "failed_auth", 0), 5_000);
});

Deno.test("Penalties holds loopback too when asked to", () => {
  const penalties = new Penalties({ graceMs: 0 }, new SourceExemptions({ limitLoopback: true }));
  assertEquals(penalties.punish("127.0.0.1", "failed_auth", 0), 5_000);
});

Deno.test("Penalties does nothing when it is off", () => {
  const penalties = new Penalties({ enabled: false, graceMs: 0 });
  assertEquals(penalties.punish(SOURCE, "failed_auth", 0), 0);
});

Deno.test("Penalties keeps maxSources of each family, the least recent ones forgotten first", () => {
  const penalties = new Penalties({ maxSources: 2, graceMs: 0 });
  const punish = (source: string, nowMs: number) => penalties.punish(source, "failed_auth", nowMs);
  punish("192.0.2.1", 0);
  punish("192.0.2.2", 1);
  punish("192.0.2.1", 2);
  punish("192.0.2.3", 3);
  assertEquals(penalties.size, 2);
  assert(penalties.remainingMs("192.0.2.1", 4) > 0);
  assertEquals(penalties.remainingMs("192.0.2.2", 4), 0);
  for (let network = 0; network < 100; network++) {
    punish(`2001:db8:0:${network.toString(16)}::/64`, 4);
  }
  assertEquals(penalties.size, 4);
  assert(penalties.remainingMs("192.0.2.1", 4) > 0);
});

Deno.test("Penalties remembers maxSources good ones of each family, the least recent ones forgotten first", () => {
  const penalties = new Penalties({ maxSources: 2, graceMs: 0 });
  for (const source of ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"]) {
    penalties.credit(source, 0);
  }
  const isRefused = (source: string) => penalties.punish(source, "failed_auth", 1) > 0;
  assertEquals(["192.0.2.2", "192.0.2.1", "192.0.2.3"].map(isRefused), [true, false, false]);
});

Deno.test("Penalties stays bounded and quick through a flood of sources", () => {
  const penalties = new Penalties();
  const startedAt = performance.now();
  for (let host = 0; host < 200_000; host++) {
    const source = `10.${host >> 16}.${host >> 8 & 255}.${host & 255}`;
    penalties.credit(source, host);
    penalties.punish(source, "failed_auth", host);
  }
  assertEquals(penalties.size, 65_536);
  // Many times what it takes, and less than a search per source would take.
  assert(performance.now() - startedAt < 10_000);
});

Deno.test("Penalties refuses only above the grace, never longer than maxMs, and always in the end no more, in any history", () => {
  const event = fc.record({
    offence: fc.constantFrom<Offence | "good">(...OFFENCES, "good"),
    pauseMs: fc.integer({ min: 0, max: 30_000 }),
  });
  fc.assert(fc.property(fc.array(event), (events) => {
    const penalties = new Penalties();
    let nowMs = 0;
    /** What a naive account says, without what good handshakes pay off. */
    let owedMs = 0;
    let isGood = false;
    for (const { offence, pauseMs } of events) {
      if (offence === "good") {
        penalties.credit(SOURCE, nowMs);
        isGood = true;
      } else {
        owedMs = Math.min(600_000, owedMs + (offence === "handshake_timeout" ? 10_000 : 5_000));
        const ms = penalties.punish(SOURCE, offence, nowMs);
        assert(ms <= 600_000 && ms <= owedMs);
        if (isGood) assertEquals(ms, 0);
        else if (owedMs > 15_000) assertEquals(ms, owedMs);
      }
      nowMs += pauseMs;
      owedMs = Math.max(0, owedMs - pauseMs);
    }
    assertEquals(penalties.remainingMs(SOURCE, nowMs + 600_000), 0);
  }));
});

Deno.test("Penalties refuses options out of range", () => {
  const cases: [PenaltiesOptions, string][] = [
    [{ failureMs: 0 }, `"failureMs" must be 1 to 600000`],
    [{ failureMs: 600_001 }, `"failureMs"`],
    [{ timeoutMs: 5_000, failureMs: 1, maxMs: 4_999 }, `"timeoutMs" must be 1 to 4999`],
    [{ maxMs: Infinity }, `"maxMs"`],
    [{ graceMs: -1 }, `"graceMs" must be 0 to 600000`],
    [{ graceMs: 600_001 }, `"graceMs"`],
    [{ maxSources: 0 }, `"maxSources"`],
  ];
  for (const [options, text] of cases) assertThrows(() => new Penalties(options), RangeError, text);
});
