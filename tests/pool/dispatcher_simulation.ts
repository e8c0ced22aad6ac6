// A world for the dispatcher: members, links and callers under a clock that the test advances, with
// all that goes wrong.
import { assert, assertEquals } from "@std/assert";
import { newBalancer } from "../../pool/balance.ts";
import { type Action, Dispatcher } from "../../pool/dispatcher.ts";
import { type Dial, Member, type Readiness, type Trial, Waiter } from "../../pool/member.ts";
import type { Random } from "../support/random.ts";

/** A connection that is none. */
export interface SimLink {
  readonly member: SimMember;
  usable: boolean;
}

/** A backend that is none. */
export class SimMember extends Member<SimLink> {
  readonly weight: number = 1;
  readonly maxLinks: number;
  readiness: Readiness = "ready";
  leaving = false;
  trials = 0;
  /** Trials whose outcome was not reported yet. */
  readonly openTrials: Set<Trial> = new Set<Trial>();
  /**
   * Failures in a row; at the third it is down, until a trial is due. `-Infinity`: it has no
   * circuit breaker.
   */
  failures: number = -Infinity;
  /** Until when it refuses every dial, as it is being restarted. */
  absentUntilMs = 0;
  /** Called when its readiness changes, in the middle of whatever is being decided. */
  onChange: () => void = () => {};
  /** Links that are really there, whatever they do: counted apart from the dispatcher. */
  open = 0;

  constructor(maxLinks: number) {
    super();
    this.maxLinks = maxLinks;
  }

  begin(): Trial | null {
    if (this.readiness !== "trial") return null;
    this.trials++;
    this.#become("pending");
    const trial: Trial = (ok) => {
      if (!this.openTrials.delete(trial)) return;
      if (this.failures >= 0) this.failures = ok ? 0 : 3;
      this.#become(ok ? "ready" : "down");
    };
    this.openTrials.add(trial);
    return trial;
  }

  /** Work went well or not, as a circuit breaker counts it. */
  record(ok: boolean, trial: Trial | null): void {
    if (trial !== null) return trial(ok);
    if (this.readiness !== "ready") return;
    this.failures = ok ? Math.min(this.failures, 0) : this.failures + 1;
    if (this.failures >= 3) this.#become("down");
  }

  /** It is time for a trial. */
  rest(): void {
    if (this.readiness === "down") this.#become("trial");
  }

  #become(readiness: Readiness): void {
    this.readiness = readiness;
    this.onChange();
  }
}

/** A caller. */
export class SimWaiter extends Waiter<SimMember> {
  readonly number: number;
  readonly cameAtMs: number;
  outcome: "waiting" | "granted" | "failed" | "left" = "waiting";
  waitedMs = 0;

  constructor(number: number, cameAtMs: number) {
    super();
    this.number = number;
    this.cameAtMs = cameAtMs;
  }
}

/** How the world is. */
export interface WorldOptions {
  readonly members: readonly number[];
  readonly maxLinks: number;
  readonly maxWaiting: number;
  /** Shortest and longest lease, and longest dial. */
  readonly minLeaseMs?: number | undefined;
  readonly maxLeaseMs: number;
  readonly maxDialMs: number;
  readonly dialFailure: number;
  /** Share of leases after which the link is closed. */
  readonly spoil: number;
  /** Share of leases after which the link looks good and is not. */
  readonly decay: number;
  /** Whether each member has a circuit breaker, which reports its changes in the middle of a decision. */
  readonly breaks?: boolean | undefined;
}

type SimAction = Action<SimLink, SimMember, SimWaiter>;

/** Runs a dispatcher, and checks after each step what must always hold. */
export class World {
  readonly dispatcher: Dispatcher<SimLink, SimMember, SimWaiter>;
  readonly members: SimMember[];
  readonly waiters: SimWaiter[] = [];
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #events: { readonly atMs: number; readonly run: () => void }[] = [];
  readonly #links = new Set<SimLink>();
  #healed = false;
  nowMs = 0;
  grants = 0;
  refused = 0;

  constructor(options: WorldOptions, random: Random) {
    this.#options = options;
    this.#random = random;
    this.dispatcher = new Dispatcher({
      balancer: newBalancer(
        random.pick(["two-choices", "round-robin", "least-busy"]),
        () => random.int(0, 999) / 1000,
      ),
      maxLinks: options.maxLinks,
      maxWaiting: options.maxWaiting,
      isUsable: ({ usable }) => usable,
    });
    this.members = options.members.map((maxLinks) => new SimMember(maxLinks));
    for (const member of this.members) {
      if (options.breaks === true) {
        member.failures = 0;
        member.onChange = () => this.#onChange(member);
      }
      this.dispatcher.add(member);
    }
  }

  /** What a pool does when a circuit changes: at once, whatever is under way. */
  #onChange(member: SimMember): void {
    if (member.readiness === "down") this.later(this.#random.int(1, 30), () => member.rest());
    this.dispatcher.settle();
    this.#performAll();
  }

  /**
   * A member is restarted: its idle links end, its leased ones cannot be used again, and dials are
   * refused for a while.
   */
  restart(member: SimMember, absentMs: number): void {
    member.absentUntilMs = this.nowMs + absentMs;
    for (const link of this.#links) if (link.member === member) link.usable = false;
    for (const link of [...member.idle]) {
      if (this.dispatcher.idleLost(member, link)) this.#close(member);
    }
    this.dispatcher.settle();
    this.perform();
  }

  /** Nothing goes wrong any more. */
  heal(): void {
    this.#healed = true;
    for (const member of this.members) member.absentUntilMs = 0;
  }

  /** Makes something happen later. */
  later(ms: number, run: () => void): void {
    this.#events.push({ atMs: this.nowMs + ms, run });
  }

  /** A caller comes; `undefined` when it is refused. */
  arrive(): SimWaiter | undefined {
    const waiter = new SimWaiter(this.waiters.length, this.nowMs);
    const before = this.dispatcher.waiters.size;
    if (!this.dispatcher.wait(waiter)) {
      assertEquals(before, this.#options.maxWaiting, "Refused although there was room");
      this.refused++;
      return undefined;
    }
    this.waiters.push(waiter);
    this.perform();
    return waiter;
  }

  /** A caller gives up. */
  leave(waiter: SimWaiter): void {
    if (waiter.outcome !== "waiting") return;
    waiter.outcome = "left";
    this.dispatcher.leave(waiter);
    this.perform();
  }

  /** Lets all events happen up to `untilMs`, or all there are. */
  run(untilMs: number = Infinity): void {
    for (;;) {
      let next = 0;
      for (let i = 1; i < this.#events.length; i++) {
        if (this.#events[i]!.atMs < this.#events[next]!.atMs) next = i;
      }
      const event = this.#events[next];
      if (event === undefined || event.atMs > untilMs) break;
      this.#events.splice(next, 1);
      this.nowMs = event.atMs;
      event.run();
      this.perform();
    }
    if (untilMs !== Infinity) this.nowMs = untilMs;
  }

  /** Does what the dispatcher wants, and checks it. */
  perform(): void {
    this.#performAll();
    this.#check();
  }

  #performAll(): void {
    for (
      let action = this.dispatcher.take();
      action !== undefined;
      action = this.dispatcher.take()
    ) {
      this.#perform(action);
    }
  }

  #perform(action: SimAction): void {
    switch (action.kind) {
      case "dial":
        action.dial.member.open++;
        this.later(this.#random.int(0, this.#options.maxDialMs), () => this.#endDial(action.dial));
        return;
      case "close":
        this.#close(action.member);
        return;
      case "fail":
        assertEquals(action.waiter.outcome, "waiting");
        action.waiter.outcome = "failed";
        return;
      case "grant":
        this.#lease(action.waiter, action.member, action.link, action.trial);
    }
  }

  #endDial(dial: Dial<SimMember>): void {
    const { member } = dial;
    if (this.nowMs < member.absentUntilMs || this.#fails(this.#options.dialFailure)) {
      member.open--;
      member.record(false, dial.trial);
      this.dispatcher.dialFailed(dial, (dial.waiter?.attempts ?? 0) < 2);
    } else {
      const link = { member, usable: true };
      this.#links.add(link);
      this.dispatcher.dialled(dial, link);
    }
  }

  #lease(waiter: SimWaiter, member: SimMember, link: SimLink, trial: Trial | null): void {
    this.grants++;
    assertEquals(waiter.outcome, "waiting", "Granted to one who does not wait");
    assert(link.usable && link.member === member, "Granted a link that cannot be used");
    waiter.outcome = "granted";
    waiter.waitedMs = this.nowMs - waiter.cameAtMs;
    for (const { number } of this.dispatcher.waiters) {
      assert(number > waiter.number, `${waiter.number} was served before ${number}`);
    }
    this.later(this.#random.int(this.#options.minLeaseMs ?? 0, this.#options.maxLeaseMs), () => {
      // An end by a restart is no failure of the member; but a trial wants to see an answer.
      const left = !link.usable;
      if (!left || trial !== null) member.record(!left && !this.#fails(0.3), trial);
      if (this.#random.chance(this.#options.spoil)) {
        this.dispatcher.releasedBroken(member);
        this.#close(member);
      } else {
        link.usable &&= !this.#random.chance(this.#options.decay);
        this.dispatcher.released(member, link);
      }
    });
  }

  #fails(chance: number): boolean {
    return !this.#healed && this.#random.chance(chance);
  }

  #close(member: SimMember): void {
    this.later(this.#random.int(0, 3), () => {
      member.open--;
      this.dispatcher.closed(member);
    });
  }

  #check(): void {
    const { maxLinks } = this.#options;
    let total = 0;
    for (const member of this.members) {
      assertEquals(member.links, member.open, "Links were miscounted");
      assert(
        member.open <= member.maxLinks,
        `${member.open} links to a member, of at most ${member.maxLinks}`,
      );
      total += member.open;
      if (this.#options.breaks === true) {
        const pending = member.readiness === "pending" ? 1 : 0;
        assertEquals(
          member.openTrials.size,
          pending,
          "A trial that nothing can end, or two at a time",
        );
      }
    }
    assert(total <= maxLinks, `${total} links, of at most ${maxLinks}`);
    assert(this.dispatcher.waiters.size <= this.#options.maxWaiting, "Too many wait");
  }
}
