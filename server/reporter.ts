// ServerReporter: reports errors of a server that no caller learns of, its refusals and its states.
import type { Connection } from "../connection.ts";
import { callHook } from "../log/call_hook.ts";
import { ParleyError, type ParleyErrorCode } from "../errors.ts";
import { ErrorChannel, type ErrorLine, type HookContext, REPORT } from "../log/error_channel.ts";
import type { Admission, RefusalReason } from "../limits/admission.ts";
import { EventLog } from "../log/events.ts";
import { KindRateLimiter, type LogDecision } from "../log/text.ts";
import type { Logger } from "../log/logger.ts";
import { addressText, isHangUp } from "../net/transport/faults.ts";
import type { Address } from "../net/transport/transport.ts";
import { RecentErrors } from "../stats/data/recent_errors.ts";
import type { ServerState } from "../accept/server_state.ts";
import type { ServeErrorContext } from "./options.ts";
import { RefusalReports } from "../accept/refusals.ts";

type OnError<Data> = (error: unknown, context: ServeErrorContext<Data>) => void;

/**
 * Phases that strangers can cause as often as they like. Each is reported at most ten times a
 * second.
 */
const LIMITED: ReadonlySet<string> = new Set(["handshake", "accept", "connection"]);

/**
 * Codes of faults by which a peer ends its connection and that the owner of the server should know
 * of: another framing, a message that is too large, a peer that hangs. A peer that vanished is not
 * among them.
 */
const PEER_FAULTS: ReadonlySet<ParleyErrorCode> = new Set([
  "ERR_CALL_FRAME",
  "ERR_FRAME_TOO_LARGE",
  "ERR_FRAME_TRUNCATED",
  "ERR_FRAME_MALFORMED",
  "ERR_IDLE_TIMEOUT",
  "ERR_READ_TIMEOUT",
  "ERR_WRITE_TIMEOUT",
  "ERR_SLOW_CONSUMER",
  "ERR_RATE_LIMITED",
]);

/** Log lines for a new state. */
export const STATES: Readonly<Record<ServerState, string>> = {
  created: "Created",
  listening: "Listening",
  leaving: "Leaving",
  draining: "Draining",
  stopped: "Stopped",
};

/** Whether an error is a fault of the peer. */
export function isPeerFault(error: unknown): error is ParleyError {
  return error instanceof ParleyError && PEER_FAULTS.has(error.code);
}

/**
 * Reports errors and events of one server. Every method may be called at any moment. None throws.
 */
export class ServerReporter<Data> extends ErrorChannel<ServeErrorContext<Data>> {
  /** The last errors, for statistics. */
  readonly recent: RecentErrors = new RecentErrors();
  /** Log lines about events that are no errors. */
  readonly events: EventLog;
  readonly #calls = new KindRateLimiter({ intervalMs: 1000 });
  readonly #refusals = new RefusalReports();

  constructor(onError: OnError<Data> | undefined, logger: Logger) {
    super({ onError, logger });
    this.events = new EventLog(logger);
  }

  /** Reports an error. */
  report(error: unknown, context: ServeErrorContext<Data>): void {
    this.deliver(error, context);
  }

  /** Reports a refused connection: once in ten seconds for each reason. */
  refused(reason: RefusalReason, remoteAddr: Address, admission: Admission<AbortController>): void {
    const report = this.#refusals.next(reason, remoteAddr, admission);
    if (report !== null) {
      this.deliver(report.error, { phase: "refused", remoteAddr }, report.leftOut);
    }
  }

  /** Logs that the server has entered a state. */
  entered(state: ServerState, address: Address | null, connections: number): void {
    const message = STATES[state];
    this.events.tell({
      level: "info",
      kind: "state",
      message,
      fields: { state, address, connections },
    });
  }

  /** Warns the owner of the server. */
  warn(message: string): void {
    this.events.tell({ level: "warn", kind: "warning", message });
  }

  /** Calls a hook. Reports what it throws, or rejects with later. */
  guard(hook: () => unknown, connection?: Connection<Data>): void {
    callHook(hook, (error) => this.report(error, { phase: "hook", connection }));
  }

  /** Keeps an error for statistics, unless a probe came and left. */
  protected override keep(
    error: unknown,
    { phase, connection, remoteAddr }: ServeErrorContext<Data>,
    count: number,
  ): void {
    if (phase === "handshake" && isHangUp(error)) return;
    this.recent.add(error, { phase, peer: connection?.remoteAddr ?? remoteAddr, count });
  }

  protected override limit(
    _error: unknown,
    { phase }: ServeErrorContext<Data>,
    nowMs: number,
  ): LogDecision {
    return LIMITED.has(phase) && !this.#calls.ask(phase, nowMs).write ? { write: false } : REPORT;
  }

  protected override lineOf(
    error: unknown,
    context: ServeErrorContext<Data> | HookContext,
  ): ErrorLine {
    const { phase, connection, remoteAddr = connection?.remoteAddr }: ServeErrorContext<Data> =
      context;
    const { level, message } = levelOf(error, context);
    return {
      level,
      message,
      fields: {
        phase,
        ...connection !== undefined && { connection: connection.id },
        ...remoteAddr !== undefined && { peer: addressText(remoteAddr) },
        // The text of Parley's own errors suffices. Others need their stack.
        ...level === "error" && !(error instanceof ParleyError) && { error },
      },
    };
  }
}

/** Whether its connection ended by this error. */
function isEndOf(connection: Connection | undefined, error: unknown): error is ParleyError {
  return error instanceof ParleyError && connection !== undefined &&
    error.code === connection.stats().errorCode;
}

/** Whether an error only announces a later one: a certificate that ends soon. */
export function isNotice(error: unknown): boolean {
  return error instanceof ParleyError && error.code === "ERR_CERT_EXPIRING";
}

/** Returns the level of an error and the message of its log line. */
export function levelOf(
  error: unknown,
  { phase, connection }: ServeErrorContext,
): { readonly level: keyof Logger; readonly message: string } {
  switch (phase) {
    case "handshake":
      // A probe that connects and leaves is no fault.
      return { level: isHangUp(error) ? "debug" : "warn", message: "A handshake failed" };
    case "refused":
      return { level: "warn", message: "A connection was refused" };
    case "certificates":
      return isNotice(error)
        ? { level: "warn", message: "A certificate ends soon" }
        : { level: "error", message: `Server error in phase "${phase}"` };
    default:
      return phase === "connection" || isEndOf(connection, error)
        ? { level: isPeerFault(error) ? "warn" : "info", message: "A connection ended early" }
        : { level: "error", message: `Server error in phase "${phase}"` };
  }
}
