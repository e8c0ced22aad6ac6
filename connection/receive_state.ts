// ReceiveState: what becomes of messages on their way in, and the pure function that changes it.

/**
 * ```
 * reading ──▶ discarding ──▶ ended ──▶ cut
 *    └───────────────────────▲
 * ```
 * A state may be skipped, and is never entered again.
 */
export type ReceiveState =
  /** What comes is kept, up to the end of a drain. */
  | { readonly kind: "reading" }
  /**
   * What was received is handed out. What comes now is read and thrown away, so that the peer is
   * not reset.
   */
  | { readonly kind: "discarding" }
  /** What was received is handed out, then the error, or for `null` the end. */
  | { readonly kind: "ended"; readonly error: Error | null; readonly truncatable: boolean }
  /** Nothing is handed out any more: each reader gets the error. */
  | { readonly kind: "cut"; readonly error: Error };

/** How receiving ends. */
export type ReceiveEnd =
  | { readonly kind: "discarding" }
  | { readonly kind: "ended"; readonly error: Error | null }
  | { readonly kind: "cut"; readonly error: Error };

/** Order of the states. */
const RANK = { reading: 0, discarding: 1, ended: 2, cut: 3 };

/** Returns the state after `end`, or `null` where receiving has come as far already. */
export function endReceiving(state: ReceiveState, end: ReceiveEnd): ReceiveState | null {
  if (RANK[state.kind] >= RANK[end.kind]) return null;
  if (end.kind !== "ended") return end;
  // Only an end in order, and of a connection that was still reading, can leave a message half received.
  return { ...end, truncatable: end.error === null && state.kind !== "discarding" };
}
