// The states of everything that listens: servers, mounted wires, tunnels, the statistics page.

/**
 * ```
 * created ──▶ listening ──shutdown()──▶ leaving ──▶ draining ──▶ stopped
 *    │            └────────abort()───────────────────────────────▲
 *    └──cannot listen, abort()───────────────────────────────────┘
 * ```
 * `"leaving"` is passed through only where a `drainDelayMs` is set: the server is not ready any
 * more, and works as before.
 */
export type ServerState = "created" | "listening" | "leaving" | "draining" | "stopped";
