// The log of IPC: the user's logger, or the console from the level in PARLEY_LOG on.
import { callHook } from "../call_hook.ts";
import { checkFunction, checkOneOf } from "../limits/check.ts";
import type { Logger } from "../logger.ts";
import { EventLog } from "../log_events.ts";
import { errorForLog, KindRateLimiter } from "../log_text.ts";
import { RecentErrors } from "../stats/recent_errors.ts";
import type { IpcStatusEvent } from "./statuses.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
/** Levels of the log, and none at all. */
const NAMES = [...LEVELS, "off"] as const;
const DEFAULT_LEVEL = "warn";

/**
 * The logger to use: the user's as it is, else standard error, filtered by `PARLEY_LOG` (`debug`, `info`, `warn`, `error` or
 * `off`). The variable is read only where the permission to was given: the user is not asked for it.
 *
 * @throws {RangeError} when `PARLEY_LOG` is another text
 */
export function resolveLogger(action: string, given: Logger | undefined): Logger {
  if (given !== undefined) {
    for (const level of LEVELS) checkFunction(action, `logger.${level}`, given[level]);
    return given;
  }
  const level = checkOneOf(action, "PARLEY_LOG", readLevel()?.toLowerCase() ?? DEFAULT_LEVEL, NAMES);
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

/** Told of errors that have no caller. */
export type IpcErrorHandler = (error: unknown, context: IpcErrorContext) => void;

/** Where an error came from. */
export interface IpcErrorContext {
  /** What was being done: a handshake of a stranger, a query handler, accepting. */
  readonly phase: "accept" | "handshake" | "query";
}

/** Brings errors that have no caller to `onError` or the logger, without a flood and without a throw. */
export class IpcReporter {
  readonly #onError: IpcErrorHandler | undefined;
  readonly #logger: Logger;
  readonly #limiter = new KindRateLimiter();
  readonly #events: EventLog;
  /** The last errors, for statistics. */
  readonly recent: RecentErrors = new RecentErrors();

  /** Makes a reporter. */
  constructor(onError: IpcErrorHandler | undefined, logger: Logger) {
    this.#onError = onError;
    this.#logger = logger;
    this.#events = new EventLog(logger);
  }

  /** Tells of an error. */
  report(error: unknown, phase: IpcErrorContext["phase"]): void {
    this.recent.add(error, { phase });
    const decision = this.#limiter.ask(phase, performance.now());
    if (!decision.write) return;
    const onError = this.#onError;
    if (onError === undefined) return this.#log(error, phase, decision.leftOut);
    callHook(() => onError(error, { phase }), (thrown) => this.#log(thrown, "hook", 0));
  }

  #log(error: unknown, phase: string, leftOut: number): void {
    const text = errorForLog(error);
    const fields = { phase, leftOut };
    // What reports errors must not make new ones.
    callHook(
      () =>
        phase === "handshake"
          ? this.#logger.warn(`A handshake failed: ${text}`, fields)
          : this.#logger.error(`Error in phase "${phase}": ${text}`, fields),
      () => {},
    );
  }

  /** A channel is in another status; a pair that says "listening" has the server's part. */
  told(channel: string, { status, error, unsentBytes }: IpcStatusEvent): void {
    if (error !== undefined) this.recent.add(error, { phase: "connection" });
    const fields = { channel, status, error, unsentBytes };
    // A channel comes and goes with each short program that uses it: only what went wrong is for its owner. That one client
    // broke off does not end the listening.
    const level = error === undefined || status === "listening" ? "debug" : "info";
    this.#events.tell({ level, kind: status, message: `The channel is ${status}`, fields });
  }

  /** A line for a user who looks for a fault. */
  debug(message: string, fields?: Record<string, unknown>): void {
    // A logger that fails must not end anything.
    callHook(() => this.#logger.debug(message, fields), () => {});
  }
}
