// Dispatcher: assigns links to the caller that waits longest, and decides when to dial. Performs nothing.
import { Fifo } from "../collections/fifo.ts";
import type { Balancer } from "./balance.ts";
import type { Dial, Member, Trial, Waiter } from "./member.ts";

/** What the owner of the links must do. */
export type Action<Link, M, W> =
  /** Lease the link to the waiter. */
  | {
    readonly kind: "grant";
    readonly waiter: W;
    readonly member: M;
    readonly link: Link;
    readonly trial: Trial | null;
  }
  /** Open a link, then call `dialled` or `dialFailed`. */
  | { readonly kind: "dial"; readonly dial: Dial<M> }
  /** Close the link, then call `closed`. */
  | { readonly kind: "close"; readonly member: M; readonly link: Link }
  /** Reject the waiter: its dials failed, or every member is down. */
  | { readonly kind: "fail"; readonly waiter: W; readonly why: "dial" | "down" };

/** Options of a {@linkcode Dispatcher}. */
export interface DispatcherOptions<Link> {
  /** Chooses among members. */
  readonly balancer: Balancer;
  /** Most links to all members together. */
  readonly maxLinks: number;
  /** Most waiters. */
  readonly maxWaiting: number;
  /** Whether an idle link can still be leased. */
  readonly isUsable: (link: Link) => boolean;
}

/**
 * Links go to waiters strictly in the order of their calls. A released or opened link goes to the first
 * waiter, whichever it was opened for, so a dial that hangs delays no waiter while others are served.
 *
 * ```text
 *   waiters:   first ─ dialling ─ dialling ─ undecided ─ undecided … last
 *                ▲                              └ no idle link and no room: waits for either
 *     every link that is released or opened
 * ```
 *
 * One change is finished before the next begins: a change that a member asks for during another, as when its
 * trial begins, follows it.
 */
export class Dispatcher<Link, M extends Member<Link>, W extends Waiter<M>> {
  readonly #options: DispatcherOptions<Link>;
  readonly #members = new Set<M>();
  readonly #queue = new Set<W>();
  readonly #unclaimedDials = new Set<Dial<M>>();
  readonly #actions = new Fifo<Action<Link, M, W>>();
  /** Changes that were asked for in the middle of one; `null` when none is under way. */
  #waitingChanges: (() => void)[] | null = null;
  /** Whether members may come by themselves soon, so that waiting makes sense without any. */
  expectsMembers = false;

  /** Makes one without members. */
  constructor(options: DispatcherOptions<Link>) {
    this.#options = options;
  }

  /** All members. */
  get members(): ReadonlySet<M> {
    return this.#members;
  }

  /** All who wait, first to last. */
  get waiters(): ReadonlySet<W> {
    return this.#queue;
  }

  /** Links of all members. */
  get links(): number {
    let links = 0;
    for (const member of this.#members) links += member.links;
    return links;
  }

  /** The next thing to be done; call it after every other method until it returns `undefined`. */
  take(): Action<Link, M, W> | undefined {
    return this.#actions.shift();
  }

  /** A new member. */
  add(member: M): void {
    this.#change(() => this.#members.add(member));
  }

  /** Forgets a member, which must have no links. */
  delete(member: M): void {
    this.#change(() => this.#members.delete(member));
  }

  /** A caller wants a link; `false` when too many do. */
  wait(waiter: W): boolean {
    if (this.#queue.size >= this.#options.maxWaiting) return false;
    this.#change(() => {
      this.#queue.add(waiter);
      const [unclaimed] = this.#unclaimedDials;
      if (unclaimed !== undefined) this.#adopt(unclaimed);
    });
    return true;
  }

  /** A caller waits no longer. */
  leave(waiter: W): void {
    this.#change(() => this.#remove(waiter));
  }

  /** A link is open. */
  dialled(dial: Dial<M>, link: Link): void {
    this.#change(() => {
      const { member, trial, waiter } = dial;
      if (waiter !== null) waiter.dial = null;
      this.#unclaimedDials.delete(dial);
      member.dialling--;
      this.#offer(member, link, trial);
    });
  }

  /** A link could not be opened. Its waiter tries again, elsewhere if possible, or is rejected. */
  dialFailed(dial: Dial<M>, again: boolean): void {
    this.#change(() => {
      const { member } = dial;
      const waiter = dial.waiter as W | null;
      this.#unclaimedDials.delete(dial);
      member.dialling--;
      if (waiter === null) return;
      waiter.dial = null;
      waiter.attempts++;
      waiter.tried.add(member);
      if (!again) this.#fail(waiter, "dial");
    });
  }

  /** A leased link comes back, ready for the next. */
  released(member: M, link: Link): void {
    this.#change(() => {
      member.busy--;
      this.#offer(member, link, null);
    });
  }

  /** A leased link comes back and must be closed: close it, then call `closed`. */
  releasedBroken(member: M): void {
    member.busy--;
    member.closing++;
  }

  /** An idle link can no longer be used, if it is one: close it, then call `closed`. */
  idleLost(member: M, link: Link): boolean {
    const at = member.idle.indexOf(link);
    if (at < 0) return false;
    member.idle.splice(at, 1);
    member.closing++;
    return true;
  }

  /** A link is closed. */
  closed(member: M): void {
    this.#change(() => member.closing--);
  }

  /** Closes idle links of a member, the longest idle first, up to one for which `which` is false. */
  closeIdle(member: M, which: (link: Link) => boolean): void {
    const { idle } = member;
    let count = 0;
    while (count < idle.length && which(idle[count]!)) count++;
    for (const link of idle.splice(0, count)) this.#close(member, link);
  }

  /** Decides for all waiters again; call it when a member's readiness has changed. */
  settle(): void {
    this.#change(() => {});
  }

  /** Rejects all waiters. */
  failAll(): void {
    this.#change(() => {
      for (const waiter of this.#queue) this.#fail(waiter, "down");
    });
  }

  /** Makes a change, then decides for all waiters. In the middle of another change it waits for that one. */
  #change(change: () => void): void {
    if (this.#waitingChanges !== null) {
      this.#waitingChanges.push(change);
      return;
    }
    this.#waitingChanges = [change];
    try {
      for (const next of this.#waitingChanges) { // more may be added meanwhile
        next();
        this.#decideAll();
      }
    } finally {
      this.#waitingChanges = null;
    }
  }

  #decideAll(): void {
    for (;;) {
      const waiter = this.#firstUndecided();
      if (waiter === undefined || !this.#decide(waiter)) return;
    }
  }

  #remove(waiter: W): void {
    if (!this.#queue.delete(waiter)) return;
    this.#adopt(waiter.dial);
    waiter.dial = null;
  }

  #firstUndecided(): W | undefined {
    for (const waiter of this.#queue) {
      if (waiter.dial === null && !this.#awaitsBusy(waiter)) return waiter;
    }
    return undefined;
  }

  /** Whether it could only dial in vain again: a busy member that works is worth the wait. */
  #awaitsBusy({ tried }: W): boolean {
    if (tried.size === 0 || this.links >= this.#options.maxLinks) return false;
    const working = [...this.#members].filter(mayWork);
    const isFree = (each: M) =>
      each.idle.length > 0 || !tried.has(each) && each.links < each.maxLinks;
    return !working.some(isFree) && working.some((each) => !tried.has(each));
  }

  /** Does what can be done for an undecided waiter; `false` when it must wait. */
  #decide(waiter: W): boolean {
    const member = this.#choose(waiter);
    if (member === undefined) {
      if (this.#capacityMayReturn()) return this.#makeRoom();
      this.#fail(waiter, "down");
      return true;
    }
    const link = this.#takeIdle(member);
    if (link !== undefined) {
      this.#grant(member, link, member.begin());
    } else if (this.#hasRoom(member)) {
      member.dialling++;
      const dial: Dial<M> = { member, trial: member.begin(), waiter };
      waiter.dial = dial;
      this.#actions.push({ kind: "dial", dial });
    }
    return true;
  }

  #choose(waiter: W): M | undefined {
    const candidates: M[] = [];
    const full = this.links >= this.#options.maxLinks;
    for (const member of this.#members) {
      if (!mayWork(member)) continue;
      if (member.idle.length > 0 || !full && member.links < member.maxLinks) {
        candidates.push(member);
      }
    }
    const { balancer } = this.#options;
    const untried = candidates.filter((member) => !waiter.tried.has(member));
    return balancer.pick(untried.length > 0 ? untried : candidates);
  }

  #hasRoom(member: M): boolean {
    return member.links < member.maxLinks && this.links < this.#options.maxLinks;
  }

  /** Whether some member may do work now or soon. */
  #capacityMayReturn(): boolean {
    for (const { readiness } of this.#members) if (readiness !== "down") return true;
    return this.expectsMembers;
  }

  /** Closes one idle link when only the limit of all links hinders. Returns `false`: that takes time. */
  #makeRoom(): false {
    let richest: M | undefined;
    let wanted = false;
    for (const member of this.#members) {
      if (member.closing > 0) return false;
      if (mayWork(member)) wanted ||= member.links < member.maxLinks;
      if (member.idle.length > (richest?.idle.length ?? 0)) richest = member;
    }
    if (wanted && richest !== undefined) this.#close(richest, richest.idle.shift()!);
    return false;
  }

  #takeIdle(member: M): Link | undefined {
    for (;;) {
      const link = member.idle.pop();
      if (link === undefined || this.#options.isUsable(link)) return link;
      this.#close(member, link);
    }
  }

  /** A link is free: it goes to the first who waits, or stays idle. */
  #offer(member: M, link: Link, trial: Trial | null): void {
    const usable = this.#options.isUsable(link);
    if (member.leaving || !usable) {
      this.#close(member, link);
    } else if (this.#queue.size > 0 && (trial !== null || mayWork(member))) {
      this.#grant(member, link, trial ?? member.begin());
      return;
    } else {
      member.idle.push(link);
    }
    // A link that has ended before it was of use shows nothing.
    trial?.(usable);
  }

  #grant(member: M, link: Link, trial: Trial | null): void {
    const [waiter] = this.#queue;
    this.#queue.delete(waiter!);
    member.busy++;
    this.#actions.push({ kind: "grant", waiter: waiter!, member, link, trial });
    this.#adopt(waiter!.dial);
    waiter!.dial = null;
  }

  /** Passes a dial that its waiter no longer needs on to the first waiter without one. */
  #adopt(dial: Dial<M> | null): void {
    if (dial === null) return;
    const heir = this.#firstUndecided() ?? null;
    dial.waiter = heir;
    if (heir === null) this.#unclaimedDials.add(dial);
    else {
      this.#unclaimedDials.delete(dial);
      heir.dial = dial;
    }
  }

  #fail(waiter: W, why: "dial" | "down"): void {
    this.#remove(waiter);
    this.#actions.push({ kind: "fail", waiter, why });
  }

  #close(member: M, link: Link): void {
    member.closing++;
    this.#actions.push({ kind: "close", member, link });
  }
}

function mayWork({ readiness, leaving }: Member<unknown>): boolean {
  return !leaving && (readiness === "ready" || readiness === "trial");
}
