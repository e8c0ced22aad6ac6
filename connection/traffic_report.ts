// TrafficReport: what moved on a connection since the last report, brought to its `onTraffic`.
import { callHook } from "../log/call_hook.ts";
import type { Traffic } from "./types.ts";

/** Failures of one `onTraffic` that are written to the console: it is called with each read. */
const MAX_FAILURES = 10;

/**
 * Reports traffic. A report that fails ends nothing. Calls may overlap: each reports what no
 * earlier call did.
 */
export class TrafficReport {
  readonly #onTraffic: (traffic: Traffic) => void;
  /** The totals of the last report. */
  #bytesIn = 0;
  #bytesOut = 0;
  #messagesIn = 0;
  #messagesOut = 0;
  #failures = 0;

  constructor(onTraffic: (traffic: Traffic) => void) {
    this.#onTraffic = onTraffic;
  }

  /** Reports the difference between these totals and those of the last report. */
  report(totals: Traffic): void {
    const { bytesIn, bytesOut, messagesIn, messagesOut } = totals;
    const traffic = {
      bytesIn: bytesIn - this.#bytesIn,
      bytesOut: bytesOut - this.#bytesOut,
      messagesIn: messagesIn - this.#messagesIn,
      messagesOut: messagesOut - this.#messagesOut,
    };
    this.#bytesIn = bytesIn;
    this.#bytesOut = bytesOut;
    this.#messagesIn = messagesIn;
    this.#messagesOut = messagesOut;
    callHook(() => this.#onTraffic(traffic), (error) => this.#failed(error));
  }

  #failed(error: unknown): void {
    if (++this.#failures > MAX_FAILURES) return;
    // deno-lint-ignore no-console -- a connection has no other place for it: servers and clients guard their own hooks
    console.error("onTraffic of a connection failed:", error);
  }
}
