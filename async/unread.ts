// watchUnread(): frees what came over a stream that has ended and that nothing will read.
import { setImmediate } from "node:timers";

/** What has come over a stream that is over. */
export interface Unread {
  /** Bytes that were not read. */
  readonly bufferedBytes: number;
  /** Frees them. */
  discard(): void;
}

/**
 * Frees the bytes of a stream that is over, once the application has dropped `handle`, which is
 * what it holds of the stream.
 */
export function watchUnread(unread: Unread, handle: object): void {
  if (ended.length === 0) setImmediate(watchEnded);
  ended.push({ unread, handle });
}

const dropped = new FinalizationRegistry<Unread>((unread) => unread.discard());

/**
 * Streams that have ended in this turn of the event loop. Nearly all are read within it: the answer
 * of a call comes with its end. A registry has everything in it outlive the collections of young
 * objects, which then cost more than all the rest of a call.
 */
let ended: { readonly unread: Unread; readonly handle: object }[] = [];

function watchEnded(): void {
  const streams = ended;
  ended = [];
  for (const { unread, handle } of streams) {
    if (unread.bufferedBytes > 0) dropped.register(handle, unread);
  }
}
