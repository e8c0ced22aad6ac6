// States of a stream and of a session, and the total functions between them.

/**
 * Where a stream stands.
 *
 * ```text
 *             open()                              SYN received
 *               │                                      │
 *            opening ──────────── ack ──┐   ┌─ accept ─ offered
 *            │     │                    ▼   ▼              │
 *      send fin   receive fin            open         receive fin
 *            │     │                  │        │           │
 *            ▼     └──────┐  send fin │        │ receive   ▼
 *  openingWriteClosed     │     ┌─────┘        └── fin ─┐  offeredReadClosed
 *            │            │     ▼                       ▼           │
 *            ├──── ack ───┼► writeClosed           readClosed ◄─ accept
 *            │            │     │                    ▲  │
 *       receive fin       └─────┼────────────────────┘  │ send fin
 *            │              receive fin                 │
 *            └───────────────►  closed  ◄───────────────┘
 *
 *  every state but closed ── reset ──► reset
 * ```
 */
export type StreamState =
  /** We sent SYN and have no answer yet; data may flow both ways. */
  | "opening"
  /** As `opening`, and our FIN went. */
  | "openingWriteClosed"
  /** The peer sent SYN; the application has not accepted yet. */
  | "offered"
  /** As `offered`, and the peer's FIN came. */
  | "offeredReadClosed"
  /** Both directions are open. */
  | "open"
  /** Our FIN went; the peer may go on. */
  | "writeClosed"
  /** The peer's FIN came; we may go on. */
  | "readClosed"
  /** Both FINs are through. */
  | "closed"
  /** Ended by RST of either side, or with its session. */
  | "reset";

/** The life of a stream or a session in the words that all links share. */
export type LinkStatus = "open" | "closing" | "closed";

/**
 * Reduces a state to what the owner of a link wants to know: whether we may still write, and
 * whether it is over.
 */
export function streamStatus(state: StreamState): LinkStatus {
  if (isOver(state)) return "closed";
  return state === "writeClosed" || state === "openingWriteClosed" ? "closing" : "open";
}

/** What can happen to a stream. */
export type StreamEvent =
  /** The application takes an offered stream. */
  | "accept"
  /** ACK came. */
  | "ack"
  /** A data frame came that holds at least one byte. */
  | "receiveData"
  /** FIN came. */
  | "receiveFin"
  /** Our FIN goes. */
  | "sendFin"
  /** RST came or goes. */
  | "reset";

type Row = Readonly<Partial<Record<StreamEvent, StreamState>>>;

const TABLE: Readonly<Record<StreamState, Row>> = {
  opening: {
    ack: "open",
    receiveData: "opening",
    receiveFin: "readClosed",
    sendFin: "openingWriteClosed",
    reset: "reset",
  },
  openingWriteClosed: {
    ack: "writeClosed",
    receiveData: "openingWriteClosed",
    receiveFin: "closed",
    reset: "reset",
  },
  offered: {
    accept: "open",
    ack: "offered",
    receiveData: "offered",
    receiveFin: "offeredReadClosed",
    reset: "reset",
  },
  offeredReadClosed: { accept: "readClosed", ack: "offeredReadClosed", reset: "reset" },
  open: {
    ack: "open",
    receiveData: "open",
    receiveFin: "readClosed",
    sendFin: "writeClosed",
    reset: "reset",
  },
  writeClosed: {
    ack: "writeClosed",
    receiveData: "writeClosed",
    receiveFin: "closed",
    reset: "reset",
  },
  readClosed: { ack: "readClosed", sendFin: "closed", reset: "reset" },
  // Frames that crossed our end on the wire are not the peer's fault.
  closed: { ack: "closed", reset: "closed" },
  reset: { ack: "reset", receiveData: "reset", receiveFin: "reset", reset: "reset" },
};

/**
 * The state after `event`; `undefined` when `event` must not happen in `state`: a peer that causes
 * it broke the protocol (data or FIN after FIN).
 */
export function nextState(state: StreamState, event: StreamEvent): StreamState | undefined {
  return TABLE[state][event];
}

/** True once nothing more can come from the peer. */
export function isReadOver(state: StreamState): boolean {
  return state === "readClosed" || state === "offeredReadClosed" || isOver(state);
}

/** True once our FIN went or the stream is over. */
export function isWriteOver(state: StreamState): boolean {
  return state === "writeClosed" || state === "openingWriteClosed" || isOver(state);
}

/** True while our SYN has no answer. */
export function isOpening(state: StreamState): boolean {
  return state === "opening" || state === "openingWriteClosed";
}

/** True once no frame of the stream is due any more. */
export function isOver(state: StreamState): boolean {
  return state === "closed" || state === "reset";
}

/**
 * Where a session stands.
 *
 * ```text
 *          ┌─ send ──► goAwaySent ──── receive ─┐
 *   open ──┤                                    ▼
 *          └─ receive ► goAwayReceived ─ send ► goAwayBoth        every state ── end ──► ended
 * ```
 */
export type SessionState =
  /** Streams may be opened both ways. */
  | "open"
  /** We sent go-away: no new streams either way. */
  | "goAwaySent"
  /** The peer sent go-away: the same. */
  | "goAwayReceived"
  /** Both did. */
  | "goAwayBoth"
  /** The transport is closed or about to be. */
  | "ended";

/**
 * Reduces a state to what the owner of a session wants to know: whether it may open streams, and
 * whether it is over.
 */
export function sessionStatus(state: SessionState): LinkStatus {
  if (state === "ended") return "closed";
  return state === "open" ? "open" : "closing";
}

/** What can happen to a session. */
export type SessionEvent = "sendGoAway" | "receiveGoAway" | "end";

/** The state after `event`; go-aways may repeat, and nothing follows the end. */
export function nextSessionState(state: SessionState, event: SessionEvent): SessionState {
  if (event === "end" || state === "ended") return "ended";
  const other = event === "sendGoAway" ? "goAwayReceived" : "goAwaySent";
  if (state === other || state === "goAwayBoth") return "goAwayBoth";
  return event === "sendGoAway" ? "goAwaySent" : "goAwayReceived";
}
