// Tests of the states of an IPC link: every state on every event, and what each state allows.
import { assertEquals, assertStrictEquals } from "@std/assert";
import {
  areBothDone,
  canSend,
  dropsMessages,
  isClosing,
  type LinkEvent,
  type LinkState,
  nextLinkState,
  OPEN,
  theirReasonOf,
} from "../../../ipc/link/state.ts";

const LOST = new Error("the other side has gone");
const EVENTS: readonly LinkEvent[] = [
  { type: "close" },
  { type: "refuse" },
  { type: "drained" },
  { type: "receiveClosing", reason: 1 },
  { type: "writeFailed", error: LOST },
  { type: "inboxFull" },
  { type: "end" },
];

/**
 * A state as a word: `open`, `drain`, `close`, `unwr` (unwritable), `UNWR` (the same while this
 * side closes), `ended`. `1` says that the other side's closing frame came, with that reason; `!`
 * that messages are dropped.
 */
function word(state: LinkState | undefined): string {
  if (state === undefined) return "-";
  if (state.kind === "open") return "open";
  const names = { draining: "drain", closing: "close", unwritable: "unwr", ended: "ended" };
  const name = names[state.kind];
  const closes = state.kind === "unwritable" && state.closes;
  return `${closes ? name.toUpperCase() : name}${state.theirReason ?? ""}${state.drops ? "!" : ""}`;
}

function stateOf(text: string): LinkState {
  const [, name = "", reason = "", drop] = /^([a-zA-Z]+)(1?)(!?)$/.exec(text)!;
  const data = { theirReason: reason === "" ? null : Number(reason), drops: drop === "!" };
  switch (name) {
    case "open":
      return OPEN;
    case "drain":
      return { kind: "draining", ...data };
    case "close":
      return { kind: "closing", ...data };
    case "ended":
      return { kind: "ended", ...data };
    default:
      return { kind: "unwritable", ...data, error: LOST, closes: name === "UNWR" };
  }
}

/** Rows in the order of EVENTS; "-" is an event by which the other side breaks the protocol. */
// deno-fmt-ignore
const TABLE: Readonly<Record<string, string>> = {
  //        close    refuse  drained receiveClosing writeFailed inboxFull end
  "open": "   drain   drain!  open    close1  unwr    open    ended",
  "drain": "  drain   drain!  close   drain1  UNWR    drain!  ended",
  "drain1": " drain1  drain1! close1  -       UNWR1   drain1! ended1",
  "drain!": " drain!  drain!  close!  drain1! UNWR!   drain!  ended!",
  "drain1!": "drain1! drain1! close1! -       UNWR1!  drain1! ended1!",
  "close": "  close   close!  close   close1  UNWR    close!  ended",
  "close1": " close1  close1! close1  -       UNWR1   close1! ended1",
  "close!": " close!  close!  close!  close1! UNWR!   close!  ended!",
  "close1!": "close1! close1! close1! -       UNWR1!  close1! ended1!",
  "unwr": "   UNWR    UNWR!   unwr    unwr1   unwr    unwr    ended",
  "unwr1": "  UNWR1   UNWR1!  unwr1   -       unwr1   unwr1   ended1",
  "unwr!": "  UNWR!   UNWR!   unwr!   unwr1!  unwr!   unwr!   ended!",
  "unwr1!": " UNWR1!  UNWR1!  unwr1!  -       unwr1!  unwr1!  ended1!",
  "UNWR": "   UNWR    UNWR!   UNWR    UNWR1   UNWR    UNWR!   ended",
  "UNWR1": "  UNWR1   UNWR1!  UNWR1   -       UNWR1   UNWR1!  ended1",
  "UNWR!": "  UNWR!   UNWR!   UNWR!   UNWR1!  UNWR!   UNWR!   ended!",
  "UNWR1!": " UNWR1!  UNWR1!  UNWR1!  -       UNWR1!  UNWR1!  ended1!",
  "ended": "  ended   ended   ended   ended   ended   ended!  ended",
  "ended1": " ended1  ended1  ended1  ended1  ended1  ended1! ended1",
  "ended!": " ended!  ended!  ended!  ended!  ended!  ended!  ended!",
  "ended1!": "ended1! ended1! ended1! ended1! ended1! ended1! ended1!",
};

Deno.test("nextLinkState follows the whole table", () => {
  for (const [from, row] of Object.entries(TABLE)) {
    const wanted = row.trim().split(/\s+/);
    assertEquals(wanted.length, EVENTS.length, from);
    EVENTS.forEach((event, index) => {
      assertEquals(
        word(nextLinkState(stateOf(from), event)),
        wanted[index],
        `${from} on ${event.type}`,
      );
    });
  }
});

Deno.test("nextLinkState leads to no state outside the table, from the first on", () => {
  const seen = new Set<string>();
  const visit = (state: LinkState | undefined) => {
    if (state === undefined || seen.has(word(state))) return;
    seen.add(word(state));
    for (const event of EVENTS) visit(nextLinkState(state, event));
  };
  visit(OPEN);
  assertEquals([...seen].filter((name) => TABLE[name] === undefined), []);
});

Deno.test("nextLinkState keeps the first error of a write, and the first reason of the other side", () => {
  const unwritable = nextLinkState(OPEN, { type: "writeFailed", error: LOST })!;
  const again = nextLinkState(unwritable, { type: "writeFailed", error: new Error("another") });
  assertStrictEquals(again?.kind === "unwritable" && again.error, LOST);
  const closing = nextLinkState(unwritable, { type: "receiveClosing", reason: 2 })!;
  assertEquals(theirReasonOf(nextLinkState(closing, { type: "end" })!), 2);
});

Deno.test("canSend, dropsMessages, isClosing and areBothDone name the right states", () => {
  const those = (holds: (state: LinkState) => boolean) =>
    Object.keys(TABLE).filter((name) => holds(stateOf(name)));
  assertEquals(those(canSend), ["open"]);
  assertEquals(those(dropsMessages), Object.keys(TABLE).filter((name) => name.endsWith("!")));
  assertEquals(
    those(isClosing),
    Object.keys(TABLE).filter((name) => /^(drain|close|UNWR)/.test(name)),
  );
  assertEquals(
    those(areBothDone),
    Object.keys(TABLE).filter((name) => /^(close|unwr|UNWR)1/.test(name)),
  );
});
