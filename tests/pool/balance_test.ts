// Tests of balancing: which backend is next.
import { assert, assertEquals } from "@std/assert";
import { BALANCES, type Candidate, newBalancer } from "../../pool/balance.ts";
import { forSeeds, type Random } from "../support/random.ts";

/** Numbers from 0 to 1 of a seeded generator. */
function uniform(random: Random): () => number {
  return () => random.int(0, 2 ** 30 - 1) / 2 ** 30;
}

Deno.test("newBalancer gives nothing of nothing, and the only one of one", () => {
  for (const balance of BALANCES) {
    const balancer = newBalancer(balance, () => 0.5);
    assertEquals(balancer.pick([]), undefined);
    const only = { weight: 0.001, load: 1e6 };
    assertEquals(balancer.pick([only]), only);
  }
});

Deno.test("newBalancer picks one of the candidates for every seed, with every way to balance", () => {
  forSeeds(50, (random) => {
    for (const balance of BALANCES) {
      const balancer = newBalancer(balance, uniform(random));
      const candidates = Array.from({ length: random.int(1, 9) }, () => ({
        weight: random.pick([0.001, 1, 2, 1e6]),
        load: random.int(0, 5),
      }));
      for (let i = 0; i < 20; i++) assert(candidates.includes(balancer.pick(candidates)!));
    }
  });
});

Deno.test("round-robin gives each its weight's share exactly, and spreads the turns of a heavy one", () => {
  const balancer = newBalancer("round-robin", Math.random);
  const [a, b, c] = [{ name: "a", weight: 5, load: 0 }, { name: "b", weight: 1, load: 0 }, {
    name: "c",
    weight: 1,
    load: 0,
  }];
  const turns = Array.from({ length: 14 }, () => balancer.pick([a, b, c])!.name).join("");
  assertEquals(turns, "aabacaaaabacaa");
});

Deno.test("round-robin goes on fairly when candidates come and go", () => {
  forSeeds(20, (random) => {
    const balancer = newBalancer("round-robin", Math.random);
    const all = Array.from({ length: 5 }, () => ({ weight: 1, load: 0, turns: 0 }));
    for (let i = 0; i < 500; i++) {
      const there = all.filter(() => random.chance(0.8));
      const picked = balancer.pick(there);
      if (picked !== undefined) picked.turns++;
    }
    for (const { turns } of all) assert(turns > 60, `Only ${turns} of 500 turns`);
  });
});

Deno.test("least-busy never picks one that has more to do for its weight than another", () => {
  forSeeds(50, (random) => {
    const balancer = newBalancer("least-busy", uniform(random));
    const candidates = Array.from(
      { length: 6 },
      () => ({ weight: random.int(1, 3), load: random.int(0, 9) }),
    );
    const picked = balancer.pick(candidates)!;
    const least = Math.min(...candidates.map(({ load, weight }) => load / weight));
    assertEquals(picked.load / picked.weight, least);
  });
});

Deno.test("two-choices never picks the busiest of more than one", () => {
  forSeeds(50, (random) => {
    const balancer = newBalancer("two-choices", uniform(random));
    const candidates = Array.from({ length: 5 }, (_, load) => ({ weight: 1, load }));
    for (let i = 0; i < 20; i++) assert(balancer.pick(candidates)!.load < 4);
  });
});

Deno.test("two-choices keeps the busiest of 100 near the mean, where one random choice does not", () => {
  forSeeds(5, (random) => {
    const peak = (pick: (all: readonly (Candidate & { load: number })[]) => { load: number }) => {
      const all = Array.from({ length: 100 }, () => ({ weight: 1, load: 0 }));
      for (let i = 0; i < 10_000; i++) pick(all).load++;
      return Math.max(...all.map(({ load }) => load));
    };
    const balancer = newBalancer("two-choices", uniform(random));
    const two = peak((all) => balancer.pick(all)! as { load: number });
    const one = peak((all) => random.pick(all));
    assert(two <= 105, `${two} with two choices`);
    assert(one >= 115, `${one} with one choice`);
  });
});

Deno.test("two-choices and least-busy share idle work by weight", () => {
  for (const balance of ["two-choices", "least-busy"] as const) {
    forSeeds(3, (random) => {
      const balancer = newBalancer(balance, uniform(random));
      const heavy = { weight: 3, load: 0 };
      const light = { weight: 1, load: 0 };
      let turns = 0;
      for (let i = 0; i < 4000; i++) if (balancer.pick([light, heavy]) === heavy) turns++;
      assert(turns > 2850 && turns < 3150, `${turns} of 4000 for ${balance}`);
    });
  }
});
