// spliceStreams(): joins two flows of bytes, both ways, with backpressure, half-close and reset.

/** An end of a splice: a stream of a session, or a connection. */
export interface SpliceEnd {
  read(): Promise<Uint8Array | null>;
  write(bytes: Uint8Array): Promise<void>;
  closeWrite(): Promise<void>;
  /** Ends both directions now. Idempotent. */
  abort(reason: unknown): void;
  /** Resolves when it is over, with what ended it; absent where only reads and writes tell. */
  readonly closed?: Promise<Error | undefined>;
}

/**
 * Copies both ways until both directions have ended, or one end breaks; the other is then aborted. One chunk per direction
 * is held here. Gives what broke it, `undefined` after an orderly end. Never rejects.
 */
export async function spliceStreams(left: SpliceEnd, right: SpliceEnd): Promise<unknown> {
  let broken: { readonly error: unknown } | undefined;
  const fail = (error: unknown) => {
    broken ??= { error };
    left.abort(error);
    right.abort(error);
  };
  // A reset is passed on even while nothing flows.
  for (const end of [left, right]) {
    void end.closed?.then((error) => error === undefined ? undefined : fail(error));
  }
  const copy = async (from: SpliceEnd, to: SpliceEnd) => {
    try {
      for (let chunk = await from.read(); chunk !== null; chunk = await from.read()) await to.write(chunk);
      await to.closeWrite();
    } catch (error) {
      fail(error);
    }
  };
  await Promise.all([copy(left, right), copy(right, left)]);
  return broken?.error;
}
