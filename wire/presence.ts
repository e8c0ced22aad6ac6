// PresenceBoard: announces to the peers of a hub who else is there, as often as the hub can afford.
import { type Clock, systemClock } from "../async/clock.ts";
import { fitNames, namesCut } from "./session/control_sender.ts";
import type { Link } from "./session/link.ts";
import type { Registry } from "./session/registry.ts";

/**
 * What the hub sends about one peer's changes in the long run, in bytes per millisecond: 512 KiB a second.
 * A peer that changes its names all the time is announced seldom: with 40 watchers and 9 KB of names every
 * 700 ms, with few short names at once.
 */
const BYTES_PER_MS = 512;

/** Debts below this are forgotten, in ms. */
const MIN_DEBT_MS = 1;

/** Shortest time between two looks at what is due, in ms. */
const MIN_LOOK_MS = 20;

/** One peer that might see another. */
export interface PresenceRequest {
  /** The peer that would see the other. */
  readonly identity: string;
  /** The peer whose presence it is. */
  readonly of: string;
  /** Names that the other handles. */
  readonly offers: readonly string[];
}

/** The hub of a {@linkcode PresenceBoard}: `HubRouter` is the one. */
export interface PresenceHost {
  readonly registry: Registry;
  /** Whether one peer may see another. */
  isVisible(to: Link, of: Link): boolean;
  /** Reports an error that has no caller. */
  report(error: unknown, link: Link): void;
}

/**
 * Announces who is there to the peers that may see it. Each peer pays for its own changes: changes
 * of other peers are announced at once.
 */
export class PresenceBoard {
  readonly #host: PresenceHost;
  /** From when on a peer may be announced again, by the clock. */
  readonly #dueMs = new Map<string, number>();
  /** Peers that have changed since they were announced, each with its last session. */
  readonly #news = new Map<string, Link>();
  /** Sessions whose names did not fit; each is reported once. */
  readonly #cut = new WeakSet<Link>();
  readonly #clock: Clock;
  #cancelLook: (() => void) | undefined;
  #isStopped = false;

  constructor(host: PresenceHost, clock: Clock = systemClock) {
    this.#host = host;
    this.#clock = clock;
  }

  /** A peer joined: announces the others to it, and it to the others. */
  joined(link: Link): void {
    this.changed(link);
    for (const other of this.#host.registry.links) {
      if (other === link || !this.#host.isVisible(link, other)) continue;
      link.control.announcePeer(other.established.identity, this.#namesOf(other));
    }
  }

  /** A peer joined, left, or handles other names. */
  changed(link: Link): void {
    if (this.#isStopped) return;
    const { identity } = link.established;
    this.#news.set(identity, link);
    if ((this.#dueMs.get(identity) ?? 0) <= this.#clock.now()) this.#announce(identity, link);
    this.#look();
  }

  /** Announces nothing any more. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelLook?.();
  }

  #announce(identity: string, link: Link): void {
    this.#news.delete(identity);
    const { registry } = this.#host;
    // A newer session of the same identity may be there already.
    const now = registry.named(identity);
    const names = now === undefined ? null : this.#namesOf(now);
    const size = JSON.stringify({ identity, names }).length;
    let bytes = 0;
    for (const other of registry.links) {
      if (other.established.identity === identity || !this.#host.isVisible(other, now ?? link)) {
        continue;
      }
      other.control.announcePeer(identity, names);
      bytes += size;
    }
    const debtMs = bytes / BYTES_PER_MS;
    if (debtMs < MIN_DEBT_MS) this.#dueMs.delete(identity);
    else this.#dueMs.set(identity, this.#clock.now() + debtMs);
  }

  /** Announces what is due, and looks again when more will be. */
  #look(): void {
    if (this.#cancelLook !== undefined || this.#dueMs.size === 0) return;
    let nextMs = Infinity;
    for (const dueMs of this.#dueMs.values()) nextMs = Math.min(nextMs, dueMs);
    this.#cancelLook = this.#clock.after(Math.max(MIN_LOOK_MS, nextMs - this.#clock.now()), () => {
      this.#cancelLook = undefined;
      const nowMs = this.#clock.now();
      for (const [identity, dueMs] of this.#dueMs) {
        if (dueMs > nowMs) continue;
        const link = this.#news.get(identity);
        if (link === undefined) this.#dueMs.delete(identity);
        else this.#announce(identity, link);
      }
      this.#look();
    });
  }

  #namesOf(link: Link): readonly string[] {
    const names = fitNames(link.established.identity, link.offers);
    if (names !== link.offers && !this.#cut.has(link)) {
      this.#cut.add(link);
      this.#host.report(
        namesCut(link.established.identity, names.length, link.offers.length),
        link,
      );
    }
    return names;
  }
}
