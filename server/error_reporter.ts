// ErrorReporter: brings errors that have no caller to onError or the logger, without a flood and without a throw.
import type { Connection } from "../connection.ts";
import { ParleyError } from "../errors.ts";
import { escapeForLog, KindRateLimiter } from "../log_text.ts";
import type { Logger } from "../logger.ts";
import type { ServeErrorContext } from "./options.ts";

type OnError<Data> = (error: unknown, context: ServeErrorContext<Data>) => void;

/** Phases that strangers can bring about as often as they like: told ten times a second, each. */
const LIMITED: ReadonlySet<string> = new Set(["handshake", "accept"]);

/** Where the errors of a server go. */
export class ErrorReporter<Data> {
  readonly #onError: OnError<Data> | undefined;
  readonly #logger: Logger;
  readonly #calls = new KindRateLimiter({ intervalMs: 1000 });
  readonly #lines = new KindRateLimiter();

  constructor(onError: OnError<Data> | undefined, logger: Logger) {
    this.#onError = onError;
    this.#logger = logger;
  }

  /** Tells of an error. Never throws. */
  report(error: unknown, context: ServeErrorContext<Data>): void {
    if (LIMITED.has(context.phase) && !this.#calls.ask(context.phase, performance.now()).write) return;
    if (this.#onError === undefined) return this.#log(error, context);
    try {
      this.#onError(error, context);
    } catch (thrown) {
      this.#log(thrown, { phase: "hook" });
    }
  }

  /** Calls a hook; what it throws is reported. */
  guard(hook: () => void, connection?: Connection<Data>): void {
    try {
      hook();
    } catch (error) {
      this.report(error, { phase: "hook", connection });
    }
  }

  #log(error: unknown, context: ServeErrorContext<Data>): void {
    const { phase, connection } = context;
    const code = error instanceof ParleyError ? error.code : "";
    const line = this.#lines.ask(`${phase} ${code}`, performance.now());
    if (!line.write) return;
    const text = escapeForLog(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    const more = line.leftOut === 0 ? "" : ` (${line.leftOut} more like it were left out)`;
    const fields: Record<string, unknown> = { phase };
    if (connection !== undefined) fields.connection = connection.id;
    try {
      if (phase === "handshake") {
        this.#logger.debug(`A handshake failed: ${text}${more}`, fields);
      } else if (code !== "" && code === connection?.stats().errorCode) {
        this.#logger.info(`A connection ended early: ${text}${more}`, fields);
      } else {
        this.#logger.error(`Server error in phase "${phase}": ${text}${more}`, { ...fields, error });
      }
    } catch {
      // A logger that throws must not end the server.
    }
  }
}
