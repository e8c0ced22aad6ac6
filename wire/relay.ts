// relay(): joins the caller's and the target's stream of a hub: the end of one becomes the end of the other.
import { RemoteError } from "../errors.ts";
import { isOver } from "../mux/state.ts";
import type { MuxStream } from "../mux/stream.ts";

/**
 * Copies both ways until both streams are over. One chunk per direction is held here. What ends one stream
 * ends the other: a reset, also while nothing flows; and the return of the target's handler, of which the
 * caller learns in order only if all that it sent was used, and after everything that the target said.
 * Never rejects.
 */
export async function relay(near: MuxStream, far: MuxStream): Promise<void> {
  /** Bytes that were read from the caller and not taken for the target. */
  let held = 0;
  const up = async () => {
    for (let chunk = await near.read(); chunk !== null; chunk = await near.read()) {
      held = chunk.length;
      await far.write(chunk);
      held = 0;
    }
    await far.closeWrite();
  };
  const down = async () => {
    for (let chunk = await far.read(); chunk !== null; chunk = await far.read()) {
      await near.write(chunk);
    }
    // The end that comes with the return of a handler is passed on together with it, below: after a
    // mere FIN of both sides the caller could no more learn that not all was used.
    const hasReturned = isOver(far.stats().state) && !hasFailed(await far.closed);
    if (!hasReturned) await near.closeWrite();
  };
  // What breaks it is the end of one of the streams: `down` and `near.closed` pass that on.
  const upwards = up().catch(() => {});
  void near.closed.then((error) => {
    if (error === undefined) return;
    if (near.peerHasEnded) void leave(far, upwards);
    else far.reset(error);
  });
  try {
    await down();
    const error = await far.closed;
    if (hasFailed(error)) fail(near, error);
    // A count that does not fit shows the caller that not all was used.
    else near.retire(error === undefined ? held : Math.max(1, held)).catch(() => {});
  } catch (error) {
    if (near.peerHasEnded && near.stats().state === "reset") await leave(far, upwards);
    else {
      fail(near, error);
      far.reset(error);
    }
  }
  await upwards;
}

/**
 * The caller, which has ended its direction, wants no more of what the target says. What it said
 * itself goes on to its end.
 */
async function leave(far: MuxStream, upwards: Promise<void>): Promise<void> {
  await upwards;
  far.cancel();
}

/** Resets a stream for what ended the other one. */
function fail(near: MuxStream, error: unknown): void {
  near.reset(error, { failed: hasFailed(error) });
}

/** Whether the handler failed. */
function hasFailed(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof RemoteError;
}
