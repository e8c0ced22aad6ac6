// Upkeep: what is done for one connection beside its messages: timeouts are watched, traffic is reported.
import { sharedSweeper, type Sweeper, type Swept } from "../async/sweeper.ts";
import type { ResolvedConnectionOptions } from "./options.ts";
import { TimeoutWatch, type WatchedConnection } from "./timeout_watch.ts";
import { TrafficReport } from "./traffic_report.ts";
import type { ConnectionSetup } from "./types.ts";

/** What the creator of a connection passes for its upkeep. */
export type UpkeepSetup = Pick<ConnectionSetup<unknown>, "sweeper" | "onTraffic" | "tellEachRead">;

/**
 * Looks after one connection with each sweep, until {@linkcode stop}. Everything may be called at
 * any time.
 *
 * Most of many connections are at rest: for those a sweep is a look at two counters, until a time
 * may have run out. A server with 10 000 of them would stand still for 10 ms each second otherwise.
 */
export class Upkeep implements Swept {
  readonly #connection: WatchedConnection;
  readonly #watch: TimeoutWatch;
  readonly #sweeper: Sweeper;
  readonly #traffic: TrafficReport | undefined;
  readonly #reportsReads: boolean;
  /** The counters at the last sweep. */
  #bytesIn = 0;
  #pushedBytes = 0;
  /** While these stay the same, there is nothing to do before this time. */
  #restsUntilMs = 0;

  constructor(
    options: ResolvedConnectionOptions,
    setup: UpkeepSetup,
    connection: WatchedConnection,
  ) {
    const { onTraffic, tellEachRead = true, sweeper = sharedSweeper } = setup;
    this.#connection = connection;
    this.#traffic = onTraffic && new TrafficReport(onTraffic);
    this.#reportsReads = tellEachRead;
    this.#watch = new TimeoutWatch(options, connection);
    this.#sweeper = sweeper;
    sweeper.add(this, this.#watch.shortestMs);
  }

  /** How long nothing has moved, in ms. */
  get idleMs(): number {
    return this.#watch.idleMs(this.#sweeper.nowMs());
  }

  /** Bytes were read. */
  onRead(): void {
    if (this.#reportsReads) this.reportTraffic();
  }

  /** Reports what moved since the last report. */
  reportTraffic(): void {
    if (this.#traffic === undefined) return;
    const { receiveQueue, writeQueue } = this.#connection;
    this.#traffic.report({
      bytesIn: receiveQueue.bytesIn,
      bytesOut: writeQueue.writtenBytes,
      messagesIn: receiveQueue.messagesIn,
      messagesOut: writeQueue.messagesOut,
    });
  }

  /** The connection is gone: reports the rest, and watches no longer. */
  stop(): void {
    this.#sweeper.remove(this);
    this.reportTraffic();
  }

  sweep(nowMs: number): void {
    const { bytesIn } = this.#connection.receiveQueue;
    const { pushedBytes } = this.#connection.writeQueue;
    const isUnchanged = bytesIn === this.#bytesIn && pushedBytes === this.#pushedBytes;
    if (isUnchanged && nowMs < this.#restsUntilMs) return;
    this.#bytesIn = bytesIn;
    this.#pushedBytes = pushedBytes;
    this.reportTraffic();
    this.#watch.sweep(nowMs);
    this.#restsUntilMs = isUnchanged ? this.#watch.restsUntilMs(nowMs) : nowMs;
  }
}
