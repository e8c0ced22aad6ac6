// Penalties: first ones, growth, decay, families, exemptions, bounded memory.
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type Offence, Penalties, type PenaltiesOptions } from "../../limits/penalties.ts";
import { SourceExemptions } from "../../limits/source_exemptions.ts";

const SOURCE = "192.0.2.7";

Deno.test("Penalties refuses a source for 5 s after a failure and for 10 s after a timeout", () => {
  const cases: [Offence, number][] = [
    ["failed_handshake", 5_000],
    ["failed_auth", 5_000],
    ["handshake_timeout", 10_000],
  ];
  for (const [offence, ms] of cases) {
    const penalties = new Penalties();
    assertEquals(penalties.punish(SOURCE, offence, 1_000), ms);
    assertEquals(penalties.remainingMs(SOURCE, 1_000), ms);
    assertEquals(penalties.remainingMs(SOURCE, 1_000 + ms - 1), 1);
    assertEquals(penalties.remainingMs(SOURCE, 1_000 + ms), 0);
    assertEquals(penalties.remainingMs("192.0.2.8", 1_000), 0);
  }
});

Deno.test("Penalties doubles from failure to failure, up to 600 s", () => {
  const penalties = new Penalties();
  let nowMs = 0;
  const given: number[] = [];
  for (let failure = 0; failure < 10; failure++) {
    const ms = penalties.punish(SOURCE, "failed_auth", nowMs);
    given.push(ms / 1000);
    nowMs += ms;
  }
  assertEquals(given, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
});

Deno.test("Penalties takes failures while a penalty runs for one: they began before it", () => {
  const penalties = new Penalties();
  for (let connection = 0; connection < 16; connection++) penalties.punish(SOURCE, "failed_auth", connection);
  assertEquals(penalties.remainingMs(SOURCE, 15), 5_000);
  assertEquals(penalties.punish(SOURCE, "failed_auth", 5_015), 10_000);
  assertEquals(penalties.punish(SOURCE, "failed_auth", 5_016), 9_999);
  assertEquals(penalties.punish(SOURCE, "handshake_timeout", 6_015), 10_000);
});

Deno.test("Penalties forgets one failure per minute after a penalty, and the source with the last one", () => {
  const decayed = (pauseMs: number): number => {
    const penalties = new Penalties();
    let nowMs = 0;
    for (let failure = 0; failure < 3; failure++) nowMs += penalties.punish(SOURCE, "failed_auth", nowMs);
    return penalties.punish(SOURCE, "failed_auth", nowMs + pauseMs);
  };
  assertEquals(decayed(0), 40_000);
  assertEquals(decayed(59_999), 40_000);
  assertEquals(decayed(60_000), 20_000);
  assertEquals(decayed(120_000), 10_000);
  assertEquals(decayed(180_000), 5_000);
  assertEquals(decayed(1e9), 5_000);

  const penalties = new Penalties();
  penalties.punish(SOURCE, "failed_auth", 0);
  penalties.remainingMs(SOURCE, 64_999);
  assertEquals(penalties.size, 1);
  penalties.remainingMs(SOURCE, 65_000);
  assertEquals(penalties.size, 0);
});

Deno.test("Penalties is over within minutes even for who failed a thousand times", () => {
  const penalties = new Penalties();
  let nowMs = 0;
  for (let failure = 0; failure < 1000; failure++) nowMs += penalties.punish(SOURCE, "failed_auth", nowMs);
  assertEquals(penalties.remainingMs(SOURCE, nowMs), 0);
  assertEquals(penalties.punish(SOURCE, "failed_auth", nowMs + 7 * 60_000), 5_000);
});

Deno.test("Penalties.forgive() forgets a source", () => {
  const penalties = new Penalties();
  penalties.punish(SOURCE, "failed_auth", 0);
  penalties.forgive(SOURCE);
  penalties.forgive(null);
  assertEquals([penalties.remainingMs(SOURCE, 1), penalties.size], [0, 0]);
});

Deno.test("Penalties leaves alone what has no source, loopback, and exempt networks", () => {
  const penalties = new Penalties({}, new SourceExemptions({ exemptSources: ["10.0.0.0/8"] }));
  for (const source of [null, "127.0.0.1", "::1", "10.1.2.3"]) {
    assertEquals(penalties.punish(source, "failed_auth", 0), 0);
    assertEquals(penalties.remainingMs(source, 0), 0);
  }
  assertEquals(penalties.size, 0);
  assertEquals(penalties.punish("11.1.2.3", "failed_auth", 0), 5_000);
});

Deno.test("Penalties holds loopback too when asked to", () => {
  const penalties = new Penalties({}, new SourceExemptions({ limitLoopback: true }));
  assertEquals(penalties.punish("127.0.0.1", "failed_auth", 0), 5_000);
});

Deno.test("Penalties does nothing when it is off", () => {
  const penalties = new Penalties({ enabled: false });
  assertEquals(penalties.punish(SOURCE, "failed_auth", 0), 0);
  assertEquals(penalties.remainingMs(SOURCE, 0), 0);
});

Deno.test("Penalties keeps maxSources of each family, the least recent ones forgotten first", () => {
  const penalties = new Penalties({ maxSources: 2 });
  const punish = (source: string, nowMs: number) => penalties.punish(source, "failed_auth", nowMs);
  punish("192.0.2.1", 0);
  punish("192.0.2.2", 1);
  punish("192.0.2.1", 2);
  punish("192.0.2.3", 3);
  assertEquals(penalties.size, 2);
  assert(penalties.remainingMs("192.0.2.1", 4) > 0);
  assertEquals(penalties.remainingMs("192.0.2.2", 4), 0);
  for (let network = 0; network < 100; network++) punish(`2001:db8:0:${network.toString(16)}::/64`, 4);
  assertEquals(penalties.size, 4);
  assert(penalties.remainingMs("192.0.2.1", 4) > 0);
});

Deno.test("Penalties stays bounded and quick through a flood of sources", () => {
  const penalties = new Penalties();
  const startedAt = performance.now();
  for (let host = 0; host < 200_000; host++) {
    penalties.punish(`10.${host >> 16}.${host >> 8 & 255}.${host & 255}`, "failed_auth", host);
  }
  assertEquals(penalties.size, 65_536);
  // Many times what it takes, and less than a search per source would take.
  assert(performance.now() - startedAt < 10_000);
});

Deno.test("Penalties never refuses longer than maxMs nor shorter than the base, in any history", () => {
  const event = fc.record({
    offence: fc.constantFrom<Offence>("failed_handshake", "failed_auth", "handshake_timeout"),
    pauseMs: fc.integer({ min: 0, max: 700_000 }),
  });
  fc.assert(fc.property(fc.array(event), (events) => {
    const penalties = new Penalties();
    let nowMs = 0;
    for (const { offence, pauseMs } of events) {
      const before = penalties.remainingMs(SOURCE, nowMs);
      const ms = penalties.punish(SOURCE, offence, nowMs);
      const base = offence === "handshake_timeout" ? 10_000 : 5_000;
      assert(ms >= base && ms >= before && ms <= 600_000);
      assertEquals(penalties.remainingMs(SOURCE, nowMs), ms);
      nowMs += pauseMs;
    }
  }));
});

Deno.test("Penalties refuses options out of range", () => {
  const cases: [PenaltiesOptions, string][] = [
    [{ failureMs: 0 }, `"failureMs" must be 1 to 600000`],
    [{ failureMs: 600_001 }, `"failureMs"`],
    [{ timeoutMs: 5_000, failureMs: 1, maxMs: 4_999 }, `"timeoutMs" must be 1 to 4999`],
    [{ maxMs: Infinity }, `"maxMs"`],
    [{ decayMs: 0 }, `"decayMs"`],
    [{ maxSources: 0 }, `"maxSources"`],
  ];
  for (const [options, text] of cases) assertThrows(() => new Penalties(options), RangeError, text);
});
