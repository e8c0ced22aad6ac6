// WireReporter: brings errors that have no caller to onError or the logger, without a flood and without a throw.
import { callHook } from "../call_hook.ts";
import { ParleyError } from "../errors.ts";
import { EventLog } from "../log_events.ts";
import { escapeForLog, KindRateLimiter } from "../log_text.ts";
import type { WireErrorContext, WireOptions } from "./options.ts";
import type { WireSession } from "./session.ts";

/** Phases that strangers can bring about as often as they like. */
const LIMITED: ReadonlySet<string> = new Set(["handshake", "accept", "stream"]);

/**
 * Phases whose errors the owner of this side is told of in any case: no peer can bring them about at will.
 */
const OURS: ReadonlySet<string> = new Set(["listen", "certificates", "session"]);

/** Where the errors of a wire go. */
export class WireReporter {
  readonly #options: Pick<WireOptions, "onError" | "logger">;
  readonly #calls = new KindRateLimiter({ intervalMs: 1000 });
  readonly #lines = new KindRateLimiter();
  /** What happens that is no error. */
  readonly events: EventLog;

  constructor(options: Pick<WireOptions, "onError" | "logger">) {
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
   * Tells what its owner should know before harm comes of it: to the logger, else to the console. Never
   * throws.
   */
  warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#options.logger !== undefined) {
      this.events.tell({ level: "warn", kind: message, message, fields });
    } // deno-lint-ignore no-console
    else console.warn(message);
  }

  /** Tells of an error. Never throws. */
  report(error: unknown, context: WireErrorContext): void {
    if (LIMITED.has(context.phase) && !this.#calls.ask(context.phase, performance.now()).write) return;
    const { onError } = this.#options;
    if (onError === undefined) return this.#log(error, context.phase);
    callHook(() => onError(error, context), (thrown) => this.#log(thrown, "hook"));
  }

  /** Calls a hook; what it throws, or rejects with later, is reported. */
  guard(hook: () => unknown): void {
    callHook(hook, (error) => this.report(error, { phase: "hook" }));
  }

  #log(error: unknown, phase: string): void {
    const code = error instanceof ParleyError ? error.code : "";
    const line = this.#lines.ask(`${phase} ${code}`, performance.now());
    if (!line.write) return;
    const text = escapeForLog(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    const ours = code === "" || OURS.has(phase);
    const { logger } = this.#options;
    // A logger that fails has no other place to report that: it must not end anything.
    callHook(() => {
      if (!ours) return logger?.info(`Wire, in phase "${phase}": ${text}`, { phase });
      if (logger !== undefined) {
        return logger.error(`Wire error in phase "${phase}": ${text}`, { phase, error });
      }
      // deno-lint-ignore no-console
      console.error(`Wire error in phase "${phase}": ${text}`);
    }, () => {});
  }
}
