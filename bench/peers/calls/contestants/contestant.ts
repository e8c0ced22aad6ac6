// What a contestant of the race of calls brings: a server that echoes a text, and a way to ask it.

/** One side of the race; each file of this folder exports it as `contestant`. */
export interface Contestant {
  /** Listens, at `path` when it works over a unix socket, and returns where. */
  serve(path: string): Promise<string>;
  /** Connects to where {@linkcode serve} said, and returns the call: a text there, the same text back. */
  dial(address: string): Promise<(text: string) => Promise<string>>;
}
