// ScriptedTransport: a transport whose far end is the test, step by step.
import { ClosedError } from "../../../errors.ts";
import type { Address, Transport } from "../../../net/transport/transport.ts";

/** What a write waits for. */
interface HeldWrite extends PromiseWithResolvers<void> {
  readonly bytes: Uint8Array;
}

/** Feeds what is read, records what is written, and holds or fails either at will. */
export class ScriptedTransport implements Transport {
  readonly localAddr: Address = { transport: "memory", name: "near" };
  readonly remoteAddr: Address = { transport: "memory", name: "far" };
  /** Copies of all that was written, one for each call. */
  readonly writes: Uint8Array[] = [];
  /** Bytes handed to readers. */
  readBytes = 0;
  /** Whether our direction was ended. */
  writeEnded = false;
  /** Whether the transport was closed. */
  closed = false;
  /** Whether the end of our direction bears no mark of order. */
  unsigned = false;
  /** Bytes of the write that waits that the kernel has taken: the test's to set. */
  takenBytes = 0;
  /** What the kernel holds of earlier writes: the test's to set. */
  kernelBytes: number | null = null;
  #input: (Uint8Array | null | Error)[] = [];
  #reader: PromiseWithResolvers<Uint8Array | null> | undefined;
  #holding = false;
  #held: HeldWrite | undefined;
  #writeError: Error | undefined;

  /** Bytes that lie ready and were not read. */
  get unreadBytes(): number {
    return this.#input.reduce(
      (sum, item) => sum + (item instanceof Uint8Array ? item.length : 0),
      0,
    );
  }

  /** Whether a read waits. */
  get reading(): boolean {
    return this.#reader !== undefined;
  }

  /** Whether a write waits. */
  get writing(): boolean {
    return this.#held !== undefined;
  }

  /** Lets the next read return these bytes. */
  feed(bytes: Uint8Array): void {
    this.#give(bytes);
  }

  /** Lets the input end in order. */
  endInput(): void {
    this.#give(null);
  }

  /** Lets the input fail. */
  failInput(error: Error = new ClosedError("ERR_RESET", "Cannot read: the peer vanished")): void {
    this.#give(error);
  }

  /** Lets writes wait until {@linkcode release}. */
  hold(): void {
    this.#holding = true;
  }

  /** Finishes the write that waits, if there is one; the next one waits again. */
  release(): void {
    const held = this.#held;
    this.#held = undefined;
    held?.resolve();
  }

  /** Finishes the write that waits and holds no more. */
  releaseAll(): void {
    this.#holding = false;
    this.release();
  }

  /** Fails the write that waits, and all later ones. */
  failWrites(error: Error = new ClosedError("ERR_RESET", "Cannot write: the peer vanished")): void {
    this.#writeError = error;
    const held = this.#held;
    this.#held = undefined;
    held?.reject(error);
  }

  read(): Promise<Uint8Array | null> {
    if (this.closed) return Promise.reject(closedHere("read"));
    if (this.#reader !== undefined) throw new Error("Two reads at a time");
    this.#reader = Promise.withResolvers();
    const { promise } = this.#reader;
    const item = this.#input.shift();
    if (item !== undefined) this.#settle(item);
    return promise;
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.closed) return Promise.reject(closedHere("write"));
    if (this.writeEnded) throw new Error("A write after the end");
    if (this.#held !== undefined) throw new Error("Two writes at a time");
    if (bytes.length === 0) throw new Error("An empty write");
    if (this.#writeError !== undefined) return Promise.reject(this.#writeError);
    this.writes.push(bytes.slice());
    this.takenBytes = 0;
    if (!this.#holding) return Promise.resolve();
    this.#held = { bytes, ...Promise.withResolvers<void>() };
    return this.#held.promise;
  }

  unacknowledgedBytes(): number | null {
    return this.kernelBytes;
  }

  unsign(): void {
    this.unsigned = true;
  }

  closeWrite(): Promise<void> {
    if (this.closed) return Promise.reject(closedHere("end"));
    if (this.#held !== undefined) throw new Error("An end during a write");
    this.writeEnded = true;
    return Promise.resolve();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#reader?.reject(closedHere("read"));
    this.#reader = undefined;
    this.#held?.reject(closedHere("write"));
    this.#held = undefined;
  }

  #give(item: Uint8Array | null | Error): void {
    if (this.#reader === undefined) this.#input.push(item);
    else this.#settle(item);
  }

  #settle(item: Uint8Array | null | Error): void {
    const reader = this.#reader!;
    this.#reader = undefined;
    if (item instanceof Uint8Array) this.readBytes += item.length;
    if (item instanceof Error) reader.reject(item);
    else reader.resolve(item);
  }
}

function closedHere(what: string): ClosedError {
  return new ClosedError("ERR_CLOSED", `Cannot ${what}: the connection was closed on this side`);
}
