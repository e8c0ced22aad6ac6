// Messages between the main thread and its workers.
import type { Logger } from "../log/logger.ts";
import type { Address } from "../net/transport/transport.ts";
import type { ServerCredentials, TlsCommonOptions } from "../tls/handshake/options.ts";
import type { ErrorMessage } from "./error_message.ts";

/** Tells the thread of a worker from threads of other programs. */
export const WORKER_MARK = "parley worker";

/** What a thread is started with. */
export interface StartOrder {
  readonly mark: typeof WORKER_MARK;
  /** What runs in the thread: the thread's module imports both, and only one may begin. */
  readonly runs: "serve" | "mount";
  /** Number of the worker, from 1. */
  readonly worker: number;
  /** Address of the handler's module. */
  readonly module: string;
  /** What the module gets as `input`. */
  readonly input: unknown;
  /** Options of what runs in the thread that are plain data. */
  readonly options: Readonly<Record<string, unknown>>;
  /** TLS, without certificates; absent for plain connections. */
  readonly tls: TlsCommonOptions | undefined;
  /** Certificates in force; absent for plain connections. */
  readonly credentials: ServerCredentials | undefined;
  /** Connections that may hold a descriptor before they are accepted. */
  readonly maxWaiting: number;
  /** Memory of the worker's counters. */
  readonly books: SharedArrayBuffer;
  /** Memory in which the main thread notes that it has heard the thread's last words. */
  readonly heard: SharedArrayBuffer;
  /** Memory of the connections of all workers, and of this one. */
  readonly places: { readonly all: SharedArrayBuffer; readonly own: SharedArrayBuffer };
}

/** What a drain had to cut. */
export interface DrainReport {
  readonly error: ErrorMessage | null;
  readonly cutConnections: number;
  readonly cutBytes: number;
}

/** Where in a worker an error came up. */
export interface ErrorPlace {
  /** A phase of what runs in the thread. */
  readonly phase: string;
  readonly connection?: string | undefined;
  readonly session?: string | undefined;
  readonly identity?: string | undefined;
  readonly remoteAddr?: Address | undefined;
}

/** How an error is logged. */
export interface LinePlan {
  readonly level: keyof Logger;
  readonly message: string;
}

/** A message of the main thread; `own` ones are those of what runs in the thread. */
export type ToWorker =
  | { readonly kind: "look" }
  | { readonly kind: "credentials"; readonly credentials: ServerCredentials }
  | { readonly kind: "drain"; readonly timeoutMs: number }
  | { readonly kind: "abort"; readonly reason: ErrorMessage | null }
  | { readonly kind: "own"; readonly body: unknown };

/** A message of a worker. */
export type ToMain =
  | { readonly kind: "listening"; readonly addr: Address }
  | { readonly kind: "failed"; readonly error: ErrorMessage }
  | {
    readonly kind: "error";
    readonly error: ErrorMessage;
    readonly place: ErrorPlace;
    readonly line: LinePlan;
  }
  | { readonly kind: "dying"; readonly error: ErrorMessage }
  | { readonly kind: "looked"; readonly look: unknown }
  | { readonly kind: "drained"; readonly report: DrainReport }
  | { readonly kind: "aborted" }
  | { readonly kind: "line"; readonly line: LinePlan; readonly fields: Record<string, unknown> }
  | { readonly kind: "own"; readonly body: unknown };
