// WorkerThread: one thread of a server of workers, as the main thread sees it.
import { getHeapStatistics } from "node:v8";
import { Worker } from "node:worker_threads";
import { ClosedError } from "../errors.ts";
import { decodeError } from "./error_message.ts";
import type { StartOrder, ToMain, ToWorker } from "./messages.ts";

const BYTES_PER_MB = 2 ** 20;

/** What a thread reports to its owner. No method may throw. */
export interface ThreadEvents {
  /** The thread sent a message. */
  onMessage(message: ToMain): void;
  /** The thread has ended, and its descriptors are free. `error` says why. */
  onExit(error: unknown): void;
}

/** A thread that serves. It runs from its construction to {@linkcode ThreadEvents.onExit}. */
export class WorkerThread {
  readonly #worker: Worker;
  /** Why the thread ends, once that is known. */
  #failure: { readonly error: unknown } | null = null;

  /** Starts the thread with the module at `url`. */
  constructor(url: string, plan: Omit<StartOrder, "heard">, events: ThreadEvents) {
    const name = `parley worker ${plan.worker}`;
    const heard = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const order: StartOrder = { ...plan, heard: heard.buffer };
    this.#worker = new Worker(threadAddress(url), {
      name,
      workerData: order,
      // Without a limit of its own a thread that is out of memory ends the whole process.
      resourceLimits: { maxOldGenerationSizeMb: heapLimitMb() },
    });
    this.#worker.on("message", (message: ToMain) => {
      if (message.kind === "dying" || message.kind === "failed") {
        this.#failure = { error: decodeError(message.error) };
        // The thread waits for this before it ends.
        Atomics.store(heard, 0, 1);
        Atomics.notify(heard, 0);
      }
      events.onMessage(message);
    });
    this.#worker.on("error", (error) => this.#failure ??= { error });
    this.#worker.on("exit", (code) => {
      const { error } = this.#failure ?? {
        error: new ClosedError("ERR_CLOSED", `The thread ended by itself, with code ${code}`),
      };
      events.onExit(error);
    });
  }

  /** Sends a message. */
  post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  /** Ends the thread now; {@linkcode ThreadEvents.onExit} follows. */
  terminate(): void {
    void this.#worker.terminate();
  }

  /** Whether the thread keeps the process alive. */
  setReferenced(referenced: boolean): void {
    referenced ? this.#worker.ref() : this.#worker.unref();
  }
}

/** Heap of this thread, which is that of a process where it was not set otherwise. */
function heapLimitMb(): number {
  return Math.ceil(getHeapStatistics().heap_size_limit / BYTES_PER_MB);
}

/** The platform starts threads from files and from data only: others are imported by the latter. */
function threadAddress(url: string): URL {
  if (url.startsWith("file:")) return new URL(url);
  const code = `import ${JSON.stringify(url)};`;
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}
