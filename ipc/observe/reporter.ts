// The log of IPC: the user's logger, or the console from the level in PARLEY_LOG on.
import { callHook } from "../../log/call_hook.ts";
import { checkFunction, checkOneOf } from "../../options/check.ts";
import { ParleyError, RemoteError } from "../../errors.ts";
import { ErrorChannel, type ErrorLine, type HookContext } from "../../log/error_channel.ts";
import type { Logger } from "../../log/logger.ts";
import { EventLog } from "../../log/events.ts";
import { errorForLog, KindRateLimiter, type LogDecision } from "../../log/text.ts";
import { RecentErrors } from "../../stats/data/recent_errors.ts";
import type { IpcStatusEvent } from "./status.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
/** Levels of the log, and none at all. */
const NAMES = [...LEVELS, "off"] as const;
const DEFAULT_LEVEL = "warn";
/** Other names of levels that users try. */
const OTHER_NAMES: Readonly<Record<string, typeof NAMES[number]>> = {
  true: "debug",
  1: "debug",
  yes: "debug",
  on: "debug",
  false: "off",
  0: "off",
  no: "off",
  none: "off",
  warning: "warn",
};

/**
 * The logger to use: the user's as it is, else standard error, filtered by `PARLEY_LOG` (`debug`,
 * `info`, `warn`, `error` or `off`; `true`, `1`, `yes` and `on` mean `debug`, `false`, `0`, `no`
 * and `none` mean `off`). The variable is read only where the permission to read it was granted;
 * there is no prompt.
 *
 * @throws {RangeError} when `PARLEY_LOG` is another text
 */
export function resolveLogger(action: string, given: Logger | undefined): Logger {
  if (given !== undefined) {
    for (const level of LEVELS) checkFunction(action, `logger.${level}`, given[level]);
    return given;
  }
  const text = readLevel()?.trim().toLowerCase() || DEFAULT_LEVEL;
  const named = Object.hasOwn(OTHER_NAMES, text) ? OTHER_NAMES[text] : text;
  const level = checkOneOf(action, "PARLEY_LOG", named, NAMES);
  const from = NAMES.indexOf(level);
  const [debug, info, warn, error] = LEVELS.map((name, i) => i >= from ? writer(name) : () => {});
  return { debug: debug!, info: info!, warn: warn!, error: error! };
}

/** Lines of one level, all on standard error: standard output belongs to the program. */
function writer(level: string): Logger["debug"] {
  return (message, fields) => {
    const rest = fields === undefined ? [] : [fields];
    // deno-lint-ignore no-console -- a user who sets PARLEY_LOG wants it there
    console.error(`parley ${level}: ${message}`, ...rest);
  };
}

function readLevel(): string | undefined {
  const permission = Deno.permissions.querySync({ name: "env", variable: "PARLEY_LOG" });
  return permission.state === "granted" ? Deno.env.get("PARLEY_LOG") || undefined : undefined;
}

/** Called with errors that have no caller. */
export type IpcErrorHandler = (error: unknown, context: IpcErrorContext) => void;

/** Where an error comes from. */
export interface IpcErrorContext {
  /**
   * What failed. `"accept"`: accepting a connection. `"refused"`: a limit turned a process away
   * before it was a client; the error names the limit, and is reported once in ten seconds for each
   * limit. `"handshake"`: a handshake. `"client"`: the hook `onClient` threw. `"connection"`: this
   * side ended a connection, because the other side broke the protocol, is silent or does not read.
   * `"connect"`: a client or a pair that was connected before has ended for good, because no
   * attempt to connect again would heal what is wrong. `"query"`: a query handler threw something
   * other than a `RemoteError`, which is an answer.
   */
  readonly phase:
    | "accept"
    | "refused"
    | "handshake"
    | "client"
    | "connection"
    | "connect"
    | "query";
  /**
   * The other side, where it is known: its address for TCP, the `sessionId` of the connection for a
   * unix socket.
   */
  readonly peer?: string | undefined;
}

/** How many lines of a kind are written: a server that is full stays so for a while. */
const REFUSED_LINES = { maxPerInterval: 1, intervalMs: 10_000 };

/** Lines about attempts to connect that failed: they repeat with every attempt. */
const RETRY_LINES = { maxPerInterval: 1, intervalMs: 10_000 };

/** Texts of log lines by phase. An error of another phase is a fault of this program. */
const MESSAGES: Readonly<Partial<Record<string, string>>> = {
  handshake: "A handshake failed",
  refused: "A connection was refused",
  connection: "A connection ended early",
  connect: "The channel ended for good",
};

/**
 * Reports errors that have no caller to `onError` or the logger. It limits their number, and never
 * throws.
 */
export class IpcReporter extends ErrorChannel<IpcErrorContext> {
  readonly #logger: Logger;
  readonly #limiter = new KindRateLimiter();
  readonly #refused = new KindRateLimiter(REFUSED_LINES);
  readonly #retries = new KindRateLimiter(RETRY_LINES);
  readonly #events: EventLog;
  /** The last errors, for statistics. */
  readonly recent: RecentErrors = new RecentErrors();

  /** Makes a reporter. */
  constructor(onError: IpcErrorHandler | undefined, logger: Logger) {
    super({ onError, logger });
    this.#logger = logger;
    this.#events = new EventLog(logger);
  }

  /** Reports an error. */
  report(error: unknown, phase: IpcErrorContext["phase"], peer?: string): void {
    this.deliver(error, peer === undefined ? { phase } : { phase, peer });
  }

  protected override keep(error: unknown, { phase, peer }: IpcErrorContext, count: number): void {
    this.recent.add(error, { phase, peer, count });
  }

  /**
   * Limits what reaches `onError` as well: a peer can bring about each of these errors as often as
   * it likes.
   */
  protected override limit(error: unknown, context: IpcErrorContext, nowMs: number): LogDecision {
    const limiter = context.phase === "refused" ? this.#refused : this.#limiter;
    return limiter.ask(this.kindOf(error, context), nowMs);
  }

  protected override kindOf(error: unknown, { phase }: IpcErrorContext | HookContext): string {
    return `${phase} ${codeOf(error)}`;
  }

  protected override lineOf(
    _error: unknown,
    context: IpcErrorContext | HookContext,
    leftOut: number,
  ): ErrorLine {
    const { phase, peer }: { readonly phase: string; readonly peer?: string | undefined } = context;
    const message = MESSAGES[phase];
    return {
      level: message === undefined ? "error" : "warn",
      message: message ?? `Error in phase "${phase}"`,
      fields: { phase, ...peer !== undefined && { peer }, leftOut },
    };
  }

  /**
   * Logs an attempt to connect that failed and is followed by another, so that a long wait is
   * explained.
   */
  retry(channel: string, error: Error, level: "debug" | "warn"): void {
    const text = `Cannot connect to "${channel}", trying again: ${errorForLog(error)}`;
    if (level === "debug") return this.debug(text);
    const line = this.#retries.ask(codeOf(error), performance.now());
    if (!line.write) return this.debug(text);
    callHook(() => this.#logger.warn(text, { channel, leftOut: line.leftOut }), () => {});
  }

  /**
   * Logs the end of a connection that is no fault of either program's code: the other process ended
   * without closing.
   */
  vanished(error: Error, peer: string): void {
    this.recent.add(error, { phase: "connection", peer });
    this.#events.tell({
      level: "info",
      kind: "vanished",
      message: "A connection ended early",
      fields: { error, peer },
    });
  }

  /** Logs a new status. A pair that is `listening` has the role of the server. */
  statusChanged(channel: string, { status, error, unsentBytes }: IpcStatusEvent): void {
    const fields = { channel, status, error, unsentBytes };
    // A channel comes and goes with each short program that uses it, so only errors are at `info`.
    // A client that breaks off does not end the listening.
    const level = error === undefined || status === "listening" ? "debug" : "info";
    this.#events.tell({ level, kind: status, message: `The channel is ${status}`, fields });
  }

  /** Logs a line that helps to find a fault. */
  debug(message: string, fields?: Record<string, unknown>): void {
    // A logger that fails must not end anything.
    callHook(() => this.#logger.debug(message, fields), () => {});
  }
}

/** Code of an error, from a fixed set: a peer or an application cannot choose it. */
function codeOf(error: unknown): string {
  return error instanceof ParleyError && !(error instanceof RemoteError) ? error.code : "";
}
