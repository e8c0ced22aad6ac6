// watchUnread(): frees what came over a stream that has ended and that nobody will read.
import { setImmediate } from "node:timers";

/** A stream that is over, with bytes unread. */
interface EndedStream {
  readonly receiver: {
    readonly bufferedBytes: number;
    discard(): void;
  };
}

/**
 * Frees the bytes of a stream that is over, once the application has dropped `handle`, which is
 * what it holds of the stream.
 */
export function watchUnread(stream: EndedStream, handle: object): void {
  if (ended.length === 0) setImmediate(watchEnded);
  ended.push({ stream, handle });
}

const dropped = new FinalizationRegistry<EndedStream>((stream) => stream.receiver.discard());

/**
 * Streams that have ended in this turn of the event loop. Nearly all are read within it: the answer
 * of a call comes with its end. A registry would have every one of them outlive the collections of
 * young objects, which then cost more than all the rest of a call.
 */
let ended: { readonly stream: EndedStream; readonly handle: object }[] = [];

function watchEnded(): void {
  const streams = ended;
  ended = [];
  for (const { stream, handle } of streams) {
    if (stream.receiver.bufferedBytes > 0) dropped.register(handle, stream);
  }
}
