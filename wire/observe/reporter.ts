// WireReporter: brings errors that have no caller to onError or the logger, without a flood and without a throw.
import { callHook } from "../../log/call_hook.ts";
import { ParleyError } from "../../errors.ts";
import { EventLog } from "../../log/events.ts";
import type { Admission, RefusalReason } from "../../limits/admission.ts";
import { errorForLog, KindRateLimiter } from "../../log/text.ts";
import type { Logger } from "../../log/logger.ts";
import { addressText, isHangUp } from "../../net/transport/faults.ts";
import type { Address } from "../../net/transport/transport.ts";
import { isNotice } from "../../server/reporter.ts";
import { RefusalReports } from "../../accept/refusals.ts";
import { RecentErrors } from "../../stats/data/recent_errors.ts";
import type { WireSession } from "../session/session.ts";

/** Where an error came up that no caller can receive. */
export interface WireErrorContext {
  /** What was under way. */
  readonly phase:
    | "listen"
    | "accept"
    | "refused"
    | "handshake"
    | "certificates"
    | "session"
    | "stream"
    | "hook"
    | "connect";
  /** The session, if there was one. */
  readonly session?: WireSession | undefined;
  /** Where the peer is, of one that was not let in. */
  readonly remoteAddr?: Address | undefined;
}

/** Where the owner of a wire takes errors and events: its own options. */
export interface WireReporterOptions {
  /** Takes errors. @default {the logger} */
  readonly onError?: ((error: unknown, context: WireErrorContext) => void) | undefined;
  /** Takes events, and the errors otherwise. @default {the console} */
  readonly logger?: Logger | undefined;
}

/** Phases that strangers can bring about as often as they like. */
const LIMITED: ReadonlySet<string> = new Set(["handshake", "accept", "stream"]);

/**
 * Phases whose errors are reported in any case, because no peer can cause them at will.
 */
const OURS: ReadonlySet<string> = new Set(["listen", "certificates", "session"]);

/**
 * Phases in which something is wrong that the owner of this side can act on, though it is the peer's: a wrong token, another protocol, a
 * limit.
 */
const WARNED: ReadonlySet<string> = new Set(["handshake", "refused"]);

/** Where the errors of a wire go. */
export class WireReporter {
  readonly #options: WireReporterOptions;
  readonly #calls = new KindRateLimiter({ intervalMs: 1000 });
  readonly #lines = new KindRateLimiter();
  readonly #refusals = new RefusalReports();
  /** The last errors, for statistics. */
  readonly recent: RecentErrors = new RecentErrors();
  /** What happens that is no error. */
  readonly events: EventLog;

  constructor(options: WireReporterOptions) {
    this.#options = options;
    this.events = new EventLog(options.logger);
  }

  /** A session has begun. */
  opened({ id, identity, remoteAddr }: WireSession): void {
    const fields = { session: id, identity, remoteAddr };
    this.events.tell({ level: "info", kind: "opened", message: "A session began", fields });
  }

  /** A session is over. */
  closed({ id, identity }: WireSession, error: Error | undefined): void {
    const fields = { session: id, identity, error };
    this.events.tell({ level: "info", kind: "closed", message: "A session ended", fields });
  }

  /**
   * Logs a warning before harm is done: to the logger, else to the console. Never
   * throws.
   */
  warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#options.logger !== undefined) {
      this.events.tell({ level: "warn", kind: message, message, fields });
    } // deno-lint-ignore no-console
    else console.warn(message);
  }

  /** Reports an error. Never throws. */
  report(error: unknown, context: WireErrorContext): void {
    this.#keep(error, context, 1);
    if (LIMITED.has(context.phase) && !this.#calls.ask(context.phase, performance.now()).write) return;
    this.#deliver(error, context, 0);
  }

  /** Reports a refused connection: once in ten seconds for each reason. Never throws. */
  refused(reason: RefusalReason, remoteAddr: Address, admission: Admission<unknown>): void {
    const report = this.#refusals.next(reason, remoteAddr, admission);
    if (report === null) return;
    const context = { phase: "refused", remoteAddr } as const;
    this.#keep(report.error, context, 1 + report.leftOut);
    this.#deliver(report.error, context, report.leftOut);
  }

  /** Calls a hook; what it throws, or rejects with later, is reported. */
  guard(hook: () => unknown): void {
    callHook(hook, (error) => this.report(error, { phase: "hook" }));
  }

  /** Keeps an error for statistics. That a probe came and went is none. */
  #keep(error: unknown, { phase, session, remoteAddr }: WireErrorContext, count: number): void {
    if (phase === "handshake" && isHangUp(error)) return;
    this.recent.add(error, { phase, peer: session?.identity ?? remoteAddr, count });
  }

  /** To `onError`; without one, or when it fails, to the log. */
  #deliver(error: unknown, context: WireErrorContext, leftOut: number): void {
    const { onError } = this.#options;
    if (onError === undefined) return this.#log(error, context, leftOut);
    callHook(() => onError(error, context), (thrown) => this.#log(thrown, { phase: "hook" }, 0));
  }

  #log(error: unknown, { phase, remoteAddr }: WireErrorContext, leftOutBefore: number): void {
    const code = error instanceof ParleyError ? error.code : "";
    const line = this.#lines.ask(`${phase} ${code}`, performance.now());
    if (!line.write) return;
    const text = errorForLog(error, line.leftOut + leftOutBefore);
    const level = levelOf(error, phase);
    const message = level === "error"
      ? `Wire error in phase "${phase}": ${text}`
      : `Wire, in phase "${phase}": ${text}`;
    const fields: Record<string, unknown> = { phase };
    if (remoteAddr !== undefined) fields["peer"] = addressText(remoteAddr);
    // What Parley says of itself needs no stack to be understood.
    if (level === "error" && code === "") fields["error"] = error;
    this.#write(level, message, fields);
  }

  /** To the logger; without one, what the owner should know goes to the console. */
  #write(level: keyof Logger, message: string, fields: Record<string, unknown>): void {
    const { logger } = this.#options;
    // A logger that fails has no other place to report that: it must not end anything.
    callHook(() => {
      if (logger !== undefined) return logger[level](message, fields);
      // deno-lint-ignore no-console
      if (level === "warn" || level === "error") console[level](message, fields);
    }, () => {});
  }
}

function levelOf(error: unknown, phase: string): keyof Logger {
  if (isNotice(error)) return "warn";
  if (!(error instanceof ParleyError) || OURS.has(phase)) return "error";
  // A stream has no handshake but the question who may open it: the owner's `authorize` was late.
  if (phase === "stream" && error.code === "ERR_HANDSHAKE_TIMEOUT") return "warn";
  if (!WARNED.has(phase)) return "info";
  // A probe that comes and goes is healthy.
  return isHangUp(error) ? "debug" : "warn";
}
