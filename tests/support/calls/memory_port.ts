// Calls in memory: a port and a table joined by a mux session, for tests of what is above carriers.
import { memoryPair } from "@parley/parley";
import { MuxSession, type MuxStream } from "@parley/parley/mux";
import { CallTable } from "../../../calls/ports/call_table.ts";
import { type ByteStream, ItemStream, requestItem } from "../../../calls/ports/item_stream.ts";
import type { CallPort, CallStream, OutgoingCall } from "../../../calls/ports/port.ts";
import { unlessAborted } from "../../../async/deadline.ts";

/** Carries calls to a table of the same process. */
export class MemoryPort implements CallPort, AsyncDisposable {
  readonly peer = "the server";
  /** The answering side. */
  readonly table: CallTable = new CallTable();
  /** Who calls, as the answering side sees it. */
  identity: string | undefined = undefined;
  /** The two sides of the session that carries streams. */
  readonly near: MuxSession;
  readonly far: MuxSession;

  constructor() {
    const [near, far] = memoryPair();
    this.near = new MuxSession(near, { role: "client", keepAliveMs: 0 } as never);
    this.far = new MuxSession(far, { role: "server", keepAliveMs: 0 } as never);
    void this.#accept();
  }

  async ask(call: OutgoingCall): Promise<unknown> {
    let reply: Uint8Array;
    try {
      reply = await this.#exchange(call);
    } catch (error) {
      throw call.explain(error);
    }
    return call.read(reply);
  }

  async #exchange(call: OutgoingCall): Promise<Uint8Array> {
    const gone = new AbortController();
    const reply = Promise.resolve(
      this.table.ask(call.request(0), { peer: this.identity, via: this as never, caller: gone }),
    );
    const limits = call.timeoutMs === Infinity ? [] : [AbortSignal.timeout(call.timeoutMs)];
    const signal = AbortSignal.any([...limits, ...call.signal ? [call.signal] : []]);
    try {
      return await unlessAborted(reply, signal);
    } catch (error) {
      gone.abort(error);
      throw error;
    }
  }

  async stream(call: OutgoingCall): Promise<CallStream> {
    const mux = await this.near.openStream(
      call.signal === undefined ? {} : { signal: call.signal },
    );
    await mux.write(requestItem(call));
    return new ItemStream(bytesOf(mux));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.near.abort();
    await Promise.all([this.near.closed, this.far.closed]);
  }

  async #accept(): Promise<void> {
    for await (const mux of this.far) void this.#serve(mux);
  }

  async #serve(mux: MuxStream): Promise<void> {
    const items = new ItemStream(bytesOf(mux));
    const caller = { signal: items.signal };
    const source = { peer: this.identity, via: this as never, caller };
    try {
      const request = await items.readItem();
      await this.table.stream(request!, items, source);
    } catch (error) {
      // Its caller left before its request was read.
      mux.reset(error);
    }
  }
}

function bytesOf(mux: MuxStream): ByteStream {
  return {
    read: (options) => mux.read(options),
    write: (bytes) => mux.write(bytes),
    closeWrite: () => mux.closeWrite(),
    close: () => mux.close(),
    abort: (reason) => mux.reset(reason),
    signal: mux.signal,
  };
}
