// onStage(): one simulated life over serve(), Client and Pool, and what must be gone when it is over.
import { setImmediate } from "node:timers";
import { assertEquals } from "@std/assert";
import { ModelHosts } from "../model_hosts.ts";
import type { KernelOptions } from "../model_kernel.ts";
import { liveOut } from "../model_life.ts";
import { ModelTime } from "../model_time.ts";
import type { Random } from "../../random.ts";
import { TestClock } from "../../simulation/test_clock.ts";
import { type WatchedSignal, watchedSignal } from "../../watched_signal.ts";

/** Time for what outlives its maker a little, such as the end of a direction that is on its way. */
const AFTERWARDS_MS = 120_000;

/** Hops of the microtask queue that one turn of the event loop, which empties it, stands for. */
const HOPS_PER_TURN = 30;

/** Connections write at the end of a turn of the event loop: so turns must pass, though time does not. */
async function passTurns(hops: number): Promise<void> {
  for (let hop = 0; hop < hops; hop += HOPS_PER_TURN) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** What programs of a life are given. */
export interface Stage {
  readonly clock: TestClock;
  readonly random: Random;
  readonly hosts: ModelHosts;
  /** The signal that the application passes to every call. */
  readonly user: WatchedSignal;
  /** A property does not hold; the first one counts. */
  fail(why: string): void;
}

/**
 * Lives one life and checks what is left of it. Code that never waits for the end of a turn may
 * have a clock of its own, whose steps cost less.
 */
export async function onStage(
  random: Random,
  link: Omit<KernelOptions, "clock" | "random">,
  life: (stage: Stage) => Promise<void>,
  waiting: () => string,
  clockOfStage: TestClock = new TestClock({ settle: passTurns }),
): Promise<void> {
  const failures: string[] = [];
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    failures.push(`a rejection that nothing handles: ${event.reason?.stack ?? event.reason}`);
  };
  globalThis.addEventListener("unhandledrejection", onRejection);
  try {
    using time = new ModelTime(random, clockOfStage);
    const { clock } = time;
    using hosts = new ModelHosts({ ...link, clock, random });
    const user = watchedSignal();
    const stage = { clock, random, hosts, user, fail: (why: string) => void failures.push(why) };
    await liveOut(clock, () => life(stage), waiting);
    await clock.advance(AFTERWARDS_MS);
    if (failures.length > 0) throw new Error(failures.join("\n"));
    assertEquals(hosts.listening, 0, "doors are still open");
    assertEquals(hosts.open, 0, "sockets are still open");
    assertEquals(user.listeners, 0, "listeners are left on the user's signal");
    assertEquals(clock.pending, 0, "timers are left");
  } finally {
    globalThis.removeEventListener("unhandledrejection", onRejection);
  }
}
