// Tests of the stream and session states.
import { assertEquals } from "@std/assert";
import {
  isOpening,
  isOver,
  isReadOver,
  isWriteOver,
  nextSessionState,
  nextState,
  type StreamEvent,
  type StreamState,
} from "../../mux/state.ts";

const EVENTS = ["accept", "ack", "receiveData", "receiveFin", "sendFin", "reset"] as const;

/** Rows in the order of EVENTS; "-" is a transition that must not happen. */
const TABLE: Record<StreamState, string> = {
  opening: "- open opening readClosed openingWriteClosed reset",
  openingWriteClosed: "- writeClosed openingWriteClosed closed - reset",
  offered: "open offered offered offeredReadClosed - reset",
  offeredReadClosed: "readClosed offeredReadClosed - - - reset",
  open: "- open open readClosed writeClosed reset",
  writeClosed: "- writeClosed writeClosed closed - reset",
  readClosed: "- readClosed - - closed reset",
  closed: "- closed - - - closed",
  reset: "- reset reset reset - reset",
};

Deno.test("nextState follows the whole table", () => {
  for (const [state, row] of Object.entries(TABLE) as [StreamState, string][]) {
    row.split(" ").forEach((wanted, index) => {
      const event = EVENTS[index] as StreamEvent;
      assertEquals(nextState(state, event) ?? "-", wanted, `${state} on ${event}`);
    });
  }
});

Deno.test("nextState never leads out of an end", () => {
  for (const event of EVENTS) {
    assertEquals(nextState("closed", event) ?? "closed", "closed");
    assertEquals(nextState("reset", event) ?? "reset", "reset");
  }
});

Deno.test("isReadOver, isWriteOver, isOpening and isOver name the right states", () => {
  const states = Object.keys(TABLE) as StreamState[];
  assertEquals(states.filter(isReadOver), ["offeredReadClosed", "readClosed", "closed", "reset"]);
  assertEquals(states.filter(isWriteOver), [
    "openingWriteClosed",
    "writeClosed",
    "closed",
    "reset",
  ]);
  assertEquals(states.filter(isOpening), ["opening", "openingWriteClosed"]);
  assertEquals(states.filter(isOver), ["closed", "reset"]);
});

Deno.test("nextSessionState takes go-aways in any order and repeatedly, and nothing after the end", () => {
  assertEquals(nextSessionState("open", "sendGoAway"), "goAwaySent");
  assertEquals(nextSessionState("open", "receiveGoAway"), "goAwayReceived");
  assertEquals(nextSessionState("goAwaySent", "sendGoAway"), "goAwaySent");
  assertEquals(nextSessionState("goAwaySent", "receiveGoAway"), "goAwayBoth");
  assertEquals(nextSessionState("goAwayReceived", "receiveGoAway"), "goAwayReceived");
  assertEquals(nextSessionState("goAwayReceived", "sendGoAway"), "goAwayBoth");
  assertEquals(nextSessionState("goAwayBoth", "sendGoAway"), "goAwayBoth");
  assertEquals(nextSessionState("open", "end"), "ended");
  assertEquals(nextSessionState("ended", "sendGoAway"), "ended");
});
