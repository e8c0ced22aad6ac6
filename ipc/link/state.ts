// LinkState: where an IPC link stands, and the total function from one state to the next.

/**
 * Where a link stands. Each state holds what is known only in it.
 *
 * ```text
 *            ┌─ close, refuse ──► draining ── drained ──┐
 *   open ────┤                       │                  ▼
 *            ├─ receiveClosing ──────┼──────────────► closing
 *            │                       │                  │
 *            └─ writeFailed ─────────┴► unwritable ◄────┘ writeFailed
 *
 *   every state ── end ──► ended
 * ```
 *
 * `receiveClosing` in `draining`, `closing` and `unwritable` adds the reason of the other side.
 * `close` in `unwritable` and `inboxFull` in every state that closes change the data of the state
 * only.
 */
export type LinkState =
  /** Messages and queries go both ways. */
  | { readonly kind: "open" }
  /** This side closes: queries under way are answered, both ways, and no new ones begin. */
  | { readonly kind: "draining"; readonly theirReason: number | null; readonly drops: boolean }
  /** Our closing frame is queued or written. */
  | { readonly kind: "closing"; readonly theirReason: number | null; readonly drops: boolean }
  /** Writes fail because the other side has gone. What it sent before is still read. */
  | {
    readonly kind: "unwritable";
    readonly theirReason: number | null;
    readonly drops: boolean;
    /** Why writes fail. */
    readonly error: Error;
    /** Whether this side closes. */
    readonly closes: boolean;
  }
  /** The descriptor is free. */
  | { readonly kind: "ended"; readonly theirReason: number | null; readonly drops: boolean };

/** What can happen to a link. */
export type LinkEvent =
  /** The application closes the link. */
  | { readonly type: "close" }
  /** The owner turns the other side away before anything was read. */
  | { readonly type: "refuse" }
  /** No query is under way in either direction. */
  | { readonly type: "drained" }
  /** The closing frame of the other side came. */
  | { readonly type: "receiveClosing"; readonly reason: number }
  /** A write failed because the other side has gone. */
  | { readonly type: "writeFailed"; readonly error: Error }
  /** A message came and the inbox is full. */
  | { readonly type: "inboxFull" }
  /** The link ends. */
  | { readonly type: "end" };

/** How a link ended. */
export interface LinkOutcome {
  /** `null` after an orderly end, from either side. */
  readonly error: Error | null;
  /** Bytes that were accepted for writing and are not in the kernel. */
  readonly unsentBytes: number;
  /** Whether the other side's bytes ended inside a frame or a record. */
  readonly cutInside: boolean;
}

/** The state of a new link. */
export const OPEN: LinkState = { kind: "open" };

/**
 * The state after `event`; `undefined` when `event` must not happen in `state`: a peer that causes
 * it broke the protocol (a second closing frame). No other state follows the end; frames of the
 * last chunk may still come then.
 */
export function nextLinkState(state: LinkState, event: LinkEvent): LinkState | undefined {
  const theirReason = theirReasonOf(state);
  const drops = dropsMessages(state);
  if (state.kind === "ended") return event.type === "inboxFull" ? { ...state, drops: true } : state;
  switch (event.type) {
    case "close":
      if (state.kind === "open") return { kind: "draining", theirReason, drops };
      return state.kind === "unwritable" ? { ...state, closes: true } : state;
    case "refuse":
      if (state.kind === "open") return { kind: "draining", theirReason, drops: true };
      return state.kind === "unwritable"
        ? { ...state, closes: true, drops: true }
        : { ...state, drops: true };
    case "drained":
      return state.kind === "draining" ? { kind: "closing", theirReason, drops } : state;
    case "receiveClosing":
      if (theirReason !== null) return undefined;
      if (state.kind === "open") return { kind: "closing", theirReason: event.reason, drops };
      return { ...state, theirReason: event.reason };
    case "writeFailed":
      if (state.kind === "unwritable") return state;
      return {
        kind: "unwritable",
        theirReason,
        drops,
        error: event.error,
        closes: isClosing(state),
      };
    case "inboxFull":
      return state.kind !== "open" && isClosing(state) ? { ...state, drops: true } : state;
    case "end":
      return { kind: "ended", theirReason, drops };
  }
}

/** Whether messages and queries can be sent. */
export function canSend(state: LinkState): boolean {
  return state.kind === "open";
}

/** The reason in the other side's closing frame; `null` before it came. */
export function theirReasonOf(state: LinkState): number | null {
  return state.kind === "open" ? null : state.theirReason;
}

/**
 * Whether messages that come are dropped: they have no reader, or they did not fit while this side
 * closes.
 */
export function dropsMessages(state: LinkState): boolean {
  return state.kind !== "open" && state.drops;
}

/** Whether this side closes: it does not answer the closing frame of the other side. */
export function isClosing(state: LinkState): boolean {
  return state.kind === "draining" || state.kind === "closing" ||
    state.kind === "unwritable" && state.closes;
}

/** Whether both sides are done: how the transport ends means nothing then. */
export function areBothDone(state: LinkState): boolean {
  return (state.kind === "closing" || state.kind === "unwritable") && state.theirReason !== null;
}
