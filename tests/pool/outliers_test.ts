// Tests of outlier ejection.
import { assert, assertEquals } from "@std/assert";
import { DEFAULT_OUTLIERS, OutlierDetector } from "../../pool/outliers.ts";
import { forSeeds } from "../support/random.ts";

const NAMES = ["a", "b", "c"];

function detectorOf(names: readonly string[], options = {}): OutlierDetector<string> {
  const detector = new OutlierDetector<string>({ ...DEFAULT_OUTLIERS, ...options });
  for (const name of names) detector.add(name);
  return detector;
}

/** Ten leases each: one outcome for all, but for those named. */
function leases(
  detector: OutlierDetector<string>,
  names: readonly string[],
  odd: Record<string, { ok?: boolean; ms?: number }> = {},
): void {
  for (let i = 0; i < 10; i++) {
    for (const name of names) detector.record(name, odd[name]?.ok ?? true, odd[name]?.ms ?? 10);
  }
}

Deno.test("OutlierDetector leaves equals alone", () => {
  const detector = detectorOf(NAMES);
  for (let at = 500; at < 5000; at += 500) {
    leases(detector, NAMES);
    assertEquals(detector.judge(at), []);
  }
});

Deno.test("OutlierDetector ejects the one that fails, for longer each time, and forgives with each good interval", () => {
  const detector = detectorOf(NAMES);
  leases(detector, NAMES, { b: { ok: false } });
  assertEquals(detector.judge(0), ["b"]);
  assertEquals([detector.isEjected("b", 999), detector.isEjected("b", 1000)], [true, false]);
  leases(detector, NAMES, { b: { ok: false } });
  assertEquals(detector.judge(1000), ["b"]);
  assertEquals([detector.isEjected("b", 2999), detector.isEjected("b", 3000)], [true, false]);
  leases(detector, NAMES);
  assertEquals(detector.judge(3000), []);
  leases(detector, NAMES, { b: { ok: false } });
  assertEquals(detector.judge(3500), ["b"]);
  assertEquals([detector.isEjected("b", 5499), detector.isEjected("b", 5500)], [true, false]);
});

Deno.test("OutlierDetector ejects for no longer than maxEjectMs", () => {
  const detector = detectorOf(NAMES, { maxEjectMs: 3000 });
  let at = 0;
  for (const wanted of [1000, 2000, 3000, 3000]) {
    leases(detector, NAMES, { b: { ok: false } });
    assertEquals(detector.judge(at), ["b"]);
    assertEquals([detector.isEjected("b", at + wanted - 1), detector.isEjected("b", at + wanted)], [
      true,
      false,
    ]);
    at += wanted;
  }
});

Deno.test("OutlierDetector ejects the one that is much slower: both the factor and the margin must be passed", () => {
  for (const [ms, ejected] of [[60, []], [61, ["c"]]] as const) {
    const detector = detectorOf(NAMES); // others 10 ms: above 50 and above 60
    leases(detector, NAMES, { c: { ms } });
    assertEquals(detector.judge(500), [...ejected]);
  }
  for (const [ms, ejected] of [[500, []], [501, ["c"]]] as const) {
    const detector = detectorOf(NAMES); // others 100 ms: above 500 and above 150
    leases(detector, NAMES, { a: { ms: 100 }, b: { ms: 100 }, c: { ms } });
    assertEquals(detector.judge(500), [...ejected]);
  }
});

Deno.test("OutlierDetector judges nobody by fewer leases than minLeases", () => {
  for (const [count, ejected] of [[4, []], [5, ["c"]]] as const) {
    const detector = detectorOf(NAMES);
    leases(detector, ["a", "b"]);
    for (let i = 0; i < count; i++) detector.record("c", false, 0);
    assertEquals(detector.judge(500), [...ejected]);
  }
});

Deno.test("OutlierDetector ejects nobody when all fail alike: there is nowhere better", () => {
  const detector = detectorOf(NAMES);
  leases(detector, NAMES, { a: { ok: false }, b: { ok: false }, c: { ok: false } });
  assertEquals(detector.judge(500), []);
});

Deno.test("OutlierDetector never ejects more than its share, nor the last one", () => {
  forSeeds(100, (random) => {
    const names = Array.from({ length: random.int(1, 8) }, (_, i) => `${i}`);
    const maxEjectedRatio = random.int(0, 10) / 10;
    const detector = detectorOf(names, { maxEjectedRatio });
    for (let at = 0; at < 20_000; at += 500) {
      for (const name of names) {
        leases(detector, [name], { [name]: { ok: random.chance(0.5), ms: random.int(0, 500) } });
      }
      detector.judge(at);
      const out = names.filter((name) => detector.isEjected(name, at)).length;
      assert(
        out <= Math.floor(names.length * maxEjectedRatio) && out < names.length,
        `${out} are out`,
      );
    }
  });
});

Deno.test("OutlierDetector forgets a backend that is removed, and counts nothing for it", () => {
  const detector = detectorOf(NAMES);
  leases(detector, NAMES, { b: { ok: false } });
  detector.judge(0);
  detector.remove("b");
  assertEquals(detector.isEjected("b", 1), false);
  detector.record("b", false, 1);
  assertEquals(detector.judge(500), []);
});
