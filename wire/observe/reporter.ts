// WireReporter: reports errors of a wire that no caller learns of, its refusals and its sessions.
import { callHook } from "../../log/call_hook.ts";
import { ParleyError } from "../../errors.ts";
import { EventLog } from "../../log/events.ts";
import type { Admission, RefusalReason } from "../../limits/admission.ts";
import { ErrorChannel, type ErrorLine, type HookContext, REPORT } from "../../log/error_channel.ts";
import { KindRateLimiter, type LogDecision } from "../../log/text.ts";
import { consoleLogger, type Logger } from "../../log/logger.ts";
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
 * Phases whose errors are always reported to the owner of this side: no peer can cause them at
 * will.
 */
const OURS: ReadonlySet<string> = new Set(["listen", "certificates", "session"]);

/**
 * Phases in which the peer is at fault and the owner of this side can act: a wrong token, another
 * protocol, a limit.
 */
const WARNED: ReadonlySet<string> = new Set(["handshake", "refused"]);

/** Reports errors and events of one wire. Every method may be called at any moment. None throws. */
export class WireReporter extends ErrorChannel<WireErrorContext> {
  readonly #hasLogger: boolean;
  readonly #calls = new KindRateLimiter({ intervalMs: 1000 });
  readonly #refusals = new RefusalReports();
  /** The last errors, for statistics. */
  readonly recent: RecentErrors = new RecentErrors();
  /** Log lines about events that are no errors. */
  readonly events: EventLog;

  constructor({ onError, logger }: WireReporterOptions) {
    super({ onError, logger: logger ?? consoleLogger });
    this.#hasLogger = logger !== undefined;
    this.events = new EventLog(logger);
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

  /** Warns the owner before harm is done: by the logger, without one by the console. */
  warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#hasLogger) this.events.tell({ level: "warn", kind: message, message, fields });
    // deno-lint-ignore no-console
    else console.warn(message);
  }

  /** Not all names that this side handles fit what it announces to its peers. */
  namesCut(announced: number, names: number): void {
    this.warn(
      "Not all names of handlers fit the 16 KiB in which peers are told of them; all of them work",
      { announced, names },
    );
  }

  /** Reports an error. */
  report(error: unknown, context: WireErrorContext): void {
    this.deliver(error, context);
  }

  /** Reports a refused connection: once in ten seconds for each reason. */
  refused(reason: RefusalReason, remoteAddr: Address, admission: Admission<unknown>): void {
    const report = this.#refusals.next(reason, remoteAddr, admission);
    if (report !== null) {
      this.deliver(report.error, { phase: "refused", remoteAddr }, report.leftOut);
    }
  }

  /** Calls a hook. Reports what it throws, or rejects with later. */
  guard(hook: () => unknown): void {
    callHook(hook, (error) => this.report(error, { phase: "hook" }));
  }

  /** Keeps an error for statistics, unless a probe came and left. */
  protected override keep(
    error: unknown,
    { phase, session, remoteAddr }: WireErrorContext,
    count: number,
  ): void {
    if (phase === "handshake" && isHangUp(error)) return;
    this.recent.add(error, { phase, peer: session?.identity ?? remoteAddr, count });
  }

  protected override limit(
    _error: unknown,
    { phase }: WireErrorContext,
    nowMs: number,
  ): LogDecision {
    return LIMITED.has(phase) && !this.#calls.ask(phase, nowMs).write ? { write: false } : REPORT;
  }

  protected override lineOf(error: unknown, context: WireErrorContext | HookContext): ErrorLine {
    const { phase, remoteAddr }: WireErrorContext = context;
    const line = lineOf(error, phase);
    return {
      ...line,
      fields: {
        phase,
        ...remoteAddr !== undefined && { peer: addressText(remoteAddr) },
        // The text of Parley's own errors suffices. Others need their stack.
        ...line.level === "error" && !(error instanceof ParleyError) && { error },
      },
    };
  }
}

/** How an error of a wire is logged. */
export function lineOf(error: unknown, phase: string): Omit<ErrorLine, "fields"> {
  const level = levelOf(error, phase);
  const message = level === "error"
    ? `Wire error in phase "${phase}"`
    : `Wire, in phase "${phase}"`;
  return { level, message };
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
