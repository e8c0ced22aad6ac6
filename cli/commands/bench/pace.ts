// Pace: when a load may send its next requests: as answers come (closed loop), or by the clock (open loop).

/**
 * Decides when requests go out, over all connections of a load. Moments are ms of one clock that does not go
 * back.
 */
export interface Pace {
  /**
   * How many requests the connection may send at `nowMs`, of the `wanted` that it has room for, having sent
   * `sent`.
   */
  grant(connection: number, sent: number, wanted: number, nowMs: number): number;
  /** Moment from which the latency of a request counts that is sent at `nowMs`. */
  startOf(connection: number, number: number, nowMs: number): number;
  /** How many requests of a connection should have been sent by `nowMs`, where that is known. */
  due(connection: number, nowMs: number): number;
  /** Whether nothing more comes to be due. */
  isOver(nowMs: number): boolean;
}

/** Phases of a load, and its bound in requests. */
export interface Plan {
  /** The load begins, and warms up. */
  readonly beginMs: number;
  /** Requests count from here on. */
  readonly measureMs: number;
  /** What is due by here is the last that is sent. */
  readonly endMs: number;
  /** Most requests that are sent from `measureMs` on. */
  readonly maxRequests: number;
}

/** A connection sends its next request when an answer has come. */
export class ClosedPace implements Pace {
  readonly #plan: Plan;
  #left: number;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#left = plan.maxRequests;
  }

  grant(_connection: number, _sent: number, wanted: number, nowMs: number): number {
    if (this.isOver(nowMs)) return 0;
    if (nowMs < this.#plan.measureMs) return wanted;
    const granted = Math.min(wanted, this.#left);
    this.#left -= granted;
    return granted;
  }

  startOf(_connection: number, _number: number, nowMs: number): number {
    return nowMs;
  }

  due(): number {
    return 0;
  }

  isOver(nowMs: number): boolean {
    return nowMs >= this.#plan.endMs || this.#left === 0;
  }
}

/**
 * Request `i` of the load is due at `begin + i / rate`, whatever became of those before it; connections take
 * turns. Its latency counts from that moment, also when it could be sent only later.
 */
export class OpenPace implements Pace {
  readonly #plan: Plan;
  readonly #perMs: number;
  readonly #connections: number;
  /** Requests of the whole load. */
  readonly #total: number;
  /** Whether they are all due before the end. */
  readonly #bounded: boolean;

  constructor(plan: Plan, perSecond: number, connections: number) {
    this.#plan = plan;
    this.#perMs = perSecond / 1000;
    this.#connections = connections;
    const before = Math.ceil((plan.measureMs - plan.beginMs) * this.#perMs);
    const inTime = Math.ceil((plan.endMs - plan.beginMs) * this.#perMs);
    this.#total = Math.min(inTime, before + plan.maxRequests);
    this.#bounded = this.#total < inTime;
  }

  grant(connection: number, sent: number, wanted: number, nowMs: number): number {
    if (nowMs > this.#plan.endMs) return 0;
    return Math.min(wanted, Math.max(0, this.due(connection, nowMs) - sent));
  }

  startOf(connection: number, number: number): number {
    return this.#plan.beginMs + (connection + number * this.#connections) / this.#perMs;
  }

  due(connection: number, nowMs: number): number {
    const begun = Math.floor((nowMs - this.#plan.beginMs) * this.#perMs) + 1;
    const ofAll = Math.max(0, Math.min(this.#total, begun));
    return Math.floor((ofAll - connection + this.#connections - 1) / this.#connections);
  }

  /** When the next request of the load is due that is not due at `nowMs`. */
  nextMs(nowMs: number): number {
    const begun = Math.max(0, Math.floor((nowMs - this.#plan.beginMs) * this.#perMs) + 1);
    return begun >= this.#total ? Infinity : this.#plan.beginMs + begun / this.#perMs;
  }

  isOver(nowMs: number): boolean {
    return nowMs >= this.#plan.endMs || (this.#bounded && this.nextMs(nowMs) === Infinity);
  }
}
