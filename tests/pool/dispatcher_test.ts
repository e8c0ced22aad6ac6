// Tests of Dispatcher: who waits, for how long, and who is next.
import { assert, assertEquals } from "@std/assert";
import { forSeeds, type Random } from "../support/random.ts";
import { World, type WorldOptions } from "./dispatcher_simulation.ts";

const CALM: WorldOptions = {
  members: [2, 2],
  maxLinks: 4,
  maxWaiting: 1000,
  maxLeaseMs: 10,
  maxDialMs: 5,
  dialFailure: 0,
  spoil: 0,
  decay: 0,
};

function randomOptions(random: Random): WorldOptions {
  const members = Array.from({ length: random.int(1, 5) }, () => random.int(1, 6));
  const all = members.reduce((sum, max) => sum + max, 0);
  return {
    members,
    maxLinks: random.int(1, all + 2),
    maxWaiting: random.pick([1, 3, 1000]),
    maxLeaseMs: random.pick([0, 5, 50]),
    maxDialMs: random.pick([0, 5, 50]),
    dialFailure: random.pick([0, 0.1, 0.6]),
    spoil: random.pick([0, 0.2, 1]),
    decay: random.pick([0, 0.1]),
  };
}

Deno.test("Dispatcher serves strictly in order of arrival, within every limit, whatever goes wrong", () => {
  forSeeds(150, (random) => {
    const world = new World(randomOptions(random), random);
    for (let step = 0; step < 150; step++) {
      const member = random.pick(world.members);
      switch (random.int(0, 9)) {
        case 0:
          if (world.waiters.length > 0) world.leave(random.pick(world.waiters.slice(-5)));
          break;
        case 1:
          member.readiness = random.pick(["ready", "trial", "pending", "down"]);
          world.dispatcher.settle();
          break;
        case 2:
          member.leaving = random.chance(0.3);
          if (member.leaving) world.dispatcher.closeIdle(member, () => true);
          world.dispatcher.settle();
          break;
        case 3:
          for (const link of member.idle) link.usable = random.chance(0.5);
          break;
        default:
          world.arrive();
      }
      world.perform();
      world.run(world.nowMs + random.int(0, 10));
    }
    // Once all members are well again, every caller that still waits is served or rejected.
    for (const member of world.members) {
      member.leaving = false;
      member.readiness = "ready";
    }
    world.dispatcher.settle();
    world.perform();
    world.run();
    for (const { number, outcome } of world.waiters) {
      assert(outcome !== "waiting", `${number} waits for ever`);
    }
    for (const member of world.members) {
      assertEquals([member.busy, member.dialling, member.closing], [0, 0, 0]);
    }
  });
});

Deno.test("Dispatcher outlives circuits that change in mid-decision, trials and restarts: all members work again in the end", () => {
  forSeeds(500, (random) => {
    const world = new World({ ...randomOptions(random), breaks: true }, random);
    for (let step = 0; step < 120; step++) {
      switch (random.int(0, 9)) {
        case 0:
          world.restart(random.pick(world.members), random.int(0, 40));
          break;
        case 1:
          if (world.waiters.length > 0) world.leave(random.pick(world.waiters.slice(-5)));
          break;
        default:
          for (let come = random.int(1, 8); come > 0; come--) world.arrive();
      }
      world.run(world.nowMs + random.int(0, 10));
    }
    world.heal();
    world.run();
    for (const { number, outcome } of world.waiters) {
      assert(outcome !== "waiting", `${number} waits for ever`);
    }
    // Each comes back by a trial, however its circuit stood.
    for (
      let round = 0;
      round < 200 && world.members.some(({ readiness }) => readiness !== "ready");
      round++
    ) {
      // Idle links time out, and callers come one at a time: else links of the others may take all
      // the room there is.
      for (const member of world.members) world.dispatcher.closeIdle(member, () => true);
      world.arrive();
      world.run(world.nowMs + 200);
    }
    for (const member of world.members) {
      assertEquals([member.readiness, member.openTrials.size], ["ready", 0]);
    }
    world.run();
    const last = world.arrive();
    world.run();
    assertEquals(last?.outcome, "granted");
    for (const { busy, dialling, closing } of world.members) {
      assertEquals([busy, dialling, closing], [0, 0, 0]);
    }
  });
});

Deno.test("Dispatcher finishes a decision before it looks at a member that changes in the middle of it", () => {
  forSeeds(20, (random) => {
    const world = new World(
      { ...CALM, members: [3], maxLinks: 3, breaks: true, minLeaseMs: 5 },
      random,
    );
    const [member] = world.members;
    world.arrive();
    world.run();
    assertEquals(member!.idle.length, 1);
    member!.readiness = "trial";
    // The trial takes the idle link, or the one that comes back; its beginning rejects all others,
    // and none twice.
    for (let i = 0; i < 5; i++) world.arrive();
    assertEquals([member!.trials, member!.busy, member!.dialling], [1, 1, 0]);
    world.run();
    assert(world.waiters.every(({ outcome }) => outcome !== "waiting"));
  });
});

Deno.test("Dispatcher closes one idle link at a time to make room, however often it looks", () => {
  forSeeds(5, (random) => {
    const world = new World(
      { ...CALM, members: [3, 1], maxLinks: 3, minLeaseMs: 2, maxLeaseMs: 2 },
      random,
    );
    const [rich, poor] = world.members;
    poor!.readiness = "down";
    for (let i = 0; i < 3; i++) world.arrive();
    world.run();
    assertEquals(rich!.idle.length, 3);
    rich!.readiness = "down";
    poor!.readiness = "ready";
    const waiter = world.arrive()!;
    for (let i = 0; i < 5; i++) world.dispatcher.settle();
    world.perform();
    assertEquals(
      [rich!.idle.length, rich!.closing],
      [2, 1],
      "The place of the first is not free yet, but on its way",
    );
    world.run();
    assertEquals([waiter.outcome, rich!.idle.length], ["granted", 2]);
  });
});

Deno.test("Dispatcher lets no caller wait longer than those before it take: no waiter starves", () => {
  forSeeds(60, (random) => {
    const options = {
      ...CALM,
      spoil: random.pick([0, 0.5]),
      decay: random.pick([0, 0.1]),
      maxLinks: random.int(1, 4),
    };
    const world = new World(options, random);
    const slots = Math.min(options.maxLinks, 4);
    // Callers who come again at once, as impatient ones do, for a long time; each wait is bounded
    // by a round of all.
    const callers = random.int(5, 30);
    const comeAgain = (times: number) => {
      world.arrive();
      if (times > 0) world.later(random.int(0, 20), () => comeAgain(times - 1));
    };
    for (let i = 0; i < callers; i++) comeAgain(40);
    const longestTurnMs = options.maxLeaseMs + options.maxDialMs + 3;
    let queue = 0;
    world.later(0, function look() {
      queue = Math.max(queue, world.dispatcher.waiters.size);
      if (world.dispatcher.waiters.size > 0) world.later(1, look);
    });
    world.run();
    for (const { number, outcome, waitedMs } of world.waiters) {
      assertEquals(outcome, "granted", `Caller ${number}`);
      const bound = (Math.ceil((number + 1) / slots) + 1) * longestTurnMs;
      assert(waitedMs <= bound, `Caller ${number} waited ${waitedMs} ms, of at most ${bound}`);
    }
    assert(queue > 0, "Nobody had to wait: the property shows nothing");
  });
});

Deno.test("Dispatcher gives a link to the caller that waits longest although it was opened for another", () => {
  forSeeds(1, (random) => {
    const world = new World({ ...CALM, members: [1, 1], maxLinks: 2 }, random);
    const first = world.arrive()!;
    const second = world.arrive()!;
    const [slow, quick] = [first.dial!, second.dial!];
    assert(slow !== null && quick !== null && slow !== quick);
    world.dispatcher.dialled(quick, { member: quick.member, usable: true });
    world.perform();
    assertEquals([first.outcome, second.outcome], ["granted", "waiting"]);
    assertEquals(second.dial, slow, "The dial goes on for the one who has none");
  });
});

Deno.test("Dispatcher dials no more often than callers wait", () => {
  forSeeds(1, (random) => {
    const world = new World({ ...CALM, members: [10], maxLinks: 10 }, random);
    const first = world.arrive()!;
    world.leave(first);
    world.arrive();
    assertEquals(
      world.members[0]!.dialling,
      1,
      "The second caller takes over the dial of the first",
    );
    world.arrive();
    assertEquals(world.members[0]!.dialling, 2);
  });
});

Deno.test("Dispatcher keeps maxLinks and maxWaiting: at, below and above", () => {
  for (const maxLinks of [1, 2, 3]) {
    forSeeds(5, (random) => {
      const options = {
        ...CALM,
        members: [3],
        maxLinks,
        maxWaiting: 2,
        maxDialMs: 0,
        minLeaseMs: 500,
        maxLeaseMs: 1000,
      };
      const world = new World(options, random);
      for (let i = 0; i < maxLinks; i++) {
        world.arrive();
        world.run(world.nowMs);
      }
      assertEquals(world.grants, maxLinks, "Below and at the limit, leases are given");
      for (let i = 0; i < 2; i++) assertEquals(world.arrive()?.outcome, "waiting");
      assertEquals(world.arrive(), undefined, "One above is refused");
      assertEquals([world.grants, world.refused], [maxLinks, 1]);
      world.run();
      assertEquals(world.grants, maxLinks + 2);
    });
  }
});

Deno.test("Dispatcher closes an idle link elsewhere when only the limit of all links is in the way", () => {
  forSeeds(5, (random) => {
    const world = new World({ ...CALM, members: [1, 1], maxLinks: 1, maxLeaseMs: 0 }, random);
    world.arrive();
    world.run();
    const used = world.members.find(({ idle }) => idle.length === 1)!;
    used.readiness = "down";
    const next = world.arrive()!;
    world.run();
    assertEquals(next.outcome, "granted");
    assertEquals(used.links, 0);
  });
});

Deno.test("Dispatcher gives one piece of work to a member on trial, and the rest when it went well", () => {
  forSeeds(20, (random) => {
    const world = new World({ ...CALM, members: [5], maxLinks: 5 }, random);
    const [member] = world.members;
    const set = (readiness: "trial") => member!.readiness = readiness;
    set("trial");
    for (let i = 0; i < 5; i++) world.arrive();
    assertEquals([member!.trials, member!.dialling], [1, 1]);
    world.run();
    world.dispatcher.settle();
    world.perform();
    world.run();
    const served = world.waiters.filter(({ outcome }) => outcome === "granted").length;
    if (member!.readiness === "ready") assertEquals(served, 5);
    else assertEquals(served, 1, "The others are told at once when the trial failed");
    assertEquals(world.dispatcher.waiters.size, 0);
  });
});

Deno.test("Dispatcher tells everybody at once when every member is down, unless members are to come", () => {
  forSeeds(1, (random) => {
    const world = new World(CALM, random);
    for (const member of world.members) member.readiness = "down";
    assertEquals(world.arrive()?.outcome, "failed");
    world.dispatcher.expectsMembers = true;
    assertEquals(world.arrive()?.outcome, "waiting");
    world.members[0]!.readiness = "ready";
    world.dispatcher.settle();
    world.perform();
    world.run();
    assertEquals(world.waiters.at(-1)!.outcome, "granted");
  });
});

Deno.test("Dispatcher tries another member after a failed dial, and tells the caller when it may not try again", () => {
  forSeeds(20, (random) => {
    const world = new World({ ...CALM, members: [5, 5, 5], maxLinks: 15, dialFailure: 1 }, random);
    const waiter = world.arrive()!;
    world.run();
    assertEquals(waiter.outcome, "failed");
    assertEquals([waiter.attempts, waiter.tried.size], [3, 3]);
  });
});

Deno.test("Dispatcher has a caller wait for a busy member rather than dial in vain what it has dialled in vain", () => {
  forSeeds(20, (random) => {
    const world = new World({ ...CALM, members: [1, 1], maxLinks: 4, maxLeaseMs: 50 }, random);
    world.arrive();
    world.perform();
    const [away] = world.members.filter((member) => member.links === 0);
    world.restart(away!, Infinity);
    const waiter = world.arrive()!;
    world.run();
    assertEquals([waiter.outcome, waiter.attempts], ["granted", 1]);
  });
});
