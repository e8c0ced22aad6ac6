// endReceiving(): each state beside each end, and what may leave a message half received.
import { assertEquals } from "@std/assert";
import {
  endReceiving,
  type ReceiveEnd,
  type ReceiveState,
} from "../../connection/receive_state.ts";

const error = new Error("The peer vanished");
const reading: ReceiveState = { kind: "reading" };
const discarding: ReceiveState = { kind: "discarding" };
const ended: ReceiveState = { kind: "ended", error: null, truncatable: true };
const cut: ReceiveState = { kind: "cut", error };

const CASES: readonly (readonly [ReceiveState, ReceiveEnd, ReceiveState | null])[] = [
  [reading, { kind: "discarding" }, discarding],
  [reading, { kind: "ended", error: null }, ended],
  [reading, { kind: "ended", error }, { kind: "ended", error, truncatable: false }],
  [reading, { kind: "cut", error }, cut],
  [discarding, { kind: "discarding" }, null],
  [discarding, { kind: "ended", error: null }, { kind: "ended", error: null, truncatable: false }],
  [discarding, { kind: "ended", error }, { kind: "ended", error, truncatable: false }],
  [discarding, { kind: "cut", error }, cut],
  [ended, { kind: "discarding" }, null],
  [ended, { kind: "ended", error }, null],
  [ended, { kind: "cut", error }, cut],
  [cut, { kind: "discarding" }, null],
  [cut, { kind: "ended", error: null }, null],
  [cut, { kind: "cut", error: new Error("A later one") }, null],
];

for (const [state, end, expected] of CASES) {
  const why = "error" in end && end.error !== null ? "an error" : "none";
  const name = `endReceiving takes ${state.kind} and ${end.kind} with ${why} to ${
    expected?.kind ?? "no other state"
  }`;
  Deno.test(name, () => assertEquals(endReceiving(state, end), expected));
}
