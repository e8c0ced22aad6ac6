// Turns: tells whether the event loop has come round, without asking it.

/**
 * Turns of the event loop that were seen to begin: whoever was called at the start of one counts it. It may miss turns, and never
 * invents one by more than the callbacks of a single turn. So a reader whose replies go out at the end of each turn need not be sent
 * round once more to let others have theirs.
 */
export const turns = { count: 0 };
