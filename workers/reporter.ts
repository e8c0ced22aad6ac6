// WorkersReporter: reports errors of all workers, refusals and states of their server.
import { callHook } from "../log/call_hook.ts";
import { ErrorChannel, type ErrorLine, type HookContext, REPORT } from "../log/error_channel.ts";
import { EventLog } from "../log/events.ts";
import type { Logger } from "../log/logger.ts";
import { KindRateLimiter, type LogDecision } from "../log/text.ts";
import { ParleyError } from "../errors.ts";
import { addressText, isHangUp } from "../net/transport/faults.ts";
import { RecentErrors } from "../stats/data/recent_errors.ts";
import type { LinePlan } from "./messages.ts";
import type { Address } from "../net/transport/transport.ts";

/** Phases that strangers can cause as often as they like; and `refused`, which each worker reports. */
const INTERVALS_MS: Readonly<Record<string, { readonly max: number; readonly ms: number }>> = {
  handshake: { max: 10, ms: 1000 },
  accept: { max: 10, ms: 1000 },
  connection: { max: 10, ms: 1000 },
  stream: { max: 10, ms: 1000 },
  refused: { max: 1, ms: 10_000 },
};

/** Where an error came up, in servers of every kind. */
export interface GroupErrorContext {
  readonly phase: string;
  readonly worker?: number | undefined;
  readonly connection?: string | undefined;
  readonly session?: string | undefined;
  readonly identity?: string | undefined;
  readonly remoteAddr?: Address | undefined;
  readonly lostConnections?: number | undefined;
}

/** A context, and how the error is logged. */
interface Place extends GroupErrorContext {
  readonly line: LinePlan;
}

/**
 * Reports errors and events of one server of workers. Every method may be called at any moment. None
 * throws.
 */
export class WorkersReporter extends ErrorChannel<Place> {
  /** The last errors, for statistics. */
  readonly recent: RecentErrors = new RecentErrors();
  readonly #events: EventLog;
  readonly #limiters = new Map(
    Object.entries(INTERVALS_MS).map(([phase, { max, ms }]) =>
      [phase, new KindRateLimiter({ maxPerInterval: max, intervalMs: ms })] as const
    ),
  );

  constructor(
    onError: ((error: unknown, context: GroupErrorContext) => void) | undefined,
    logger: Logger,
  ) {
    super({
      onError: onError && ((error, { line: _, ...context }) => onError(error, context)),
      logger,
    });
    this.#events = new EventLog(logger);
  }

  /** Reports an error. */
  report(
    error: unknown,
    context: GroupErrorContext,
    line: LinePlan = { level: "error", message: `Server error in phase "${context.phase}"` },
  ): void {
    this.deliver(error, { ...context, line });
  }

  /** Logs an event. */
  log(level: keyof Logger, kind: string, message: string, fields: Record<string, unknown>): void {
    this.#events.tell({ level, kind, message, fields });
  }

  /** Calls a hook. Reports what it throws, or rejects with later. */
  guard(hook: () => unknown): void {
    callHook(hook, (error) => this.report(error, { phase: "hook" }));
  }

  protected override keep(
    error: unknown,
    { phase, identity, remoteAddr }: Place,
    count: number,
  ): void {
    if (phase === "handshake" && isHangUp(error)) return;
    this.recent.add(error, { phase, peer: identity ?? remoteAddr, count });
  }

  protected override limit(error: unknown, { phase }: Place, nowMs: number): LogDecision {
    const limiter = this.#limiters.get(phase);
    const kind = phase === "refused" ? String((error as Error).message) : phase;
    return limiter !== undefined && !limiter.ask(kind, nowMs).write ? { write: false } : REPORT;
  }

  protected override lineOf(error: unknown, context: Place | HookContext): ErrorLine {
    const { phase, worker, connection, session, identity, remoteAddr, ...more }: Partial<Place> =
      context;
    const { lostConnections, line } = more;
    const { level, message } = line ?? { level: "error", message: `Server error in phase "hook"` };
    return {
      level,
      message,
      fields: {
        phase,
        ...worker !== undefined && { worker },
        ...connection !== undefined && { connection },
        ...session !== undefined && { session, identity },
        ...remoteAddr !== undefined && { peer: addressText(remoteAddr) },
        ...lostConnections !== undefined && { lostConnections },
        // The text of Parley's own errors suffices. Others need their stack.
        ...level === "error" && !(error instanceof ParleyError) && { error },
      },
    };
  }
}
