// ErrorReporter: brings errors that have no caller to onError or the logger, without a flood and without a throw.
import type { Connection } from "../connection.ts";
import { callHook } from "../call_hook.ts";
import { ParleyError } from "../errors.ts";
import { EventLog } from "../log_events.ts";
import { escapeForLog, KindRateLimiter } from "../log_text.ts";
import type { Logger } from "../logger.ts";
import type { Address } from "../net/transport.ts";
import type { ServeErrorContext, ServerState } from "./options.ts";

type OnError<Data> = (error: unknown, context: ServeErrorContext<Data>) => void;

/** Phases that strangers can bring about as often as they like: told ten times a second, each. */
const LIMITED: ReadonlySet<string> = new Set(["handshake", "accept"]);

/** What is told of a new state. */
const STATES: Readonly<Record<ServerState, string>> = {
  created: "Created",
  listening: "Listening",
  draining: "Draining",
  stopped: "Stopped",
};

/** Where the errors of a server go. */
export class ErrorReporter<Data> {
  readonly #onError: OnError<Data> | undefined;
  readonly #logger: Logger;
  /** What happens that is no error. */
  readonly events: EventLog;
  readonly #calls = new KindRateLimiter({ intervalMs: 1000 });
  readonly #lines = new KindRateLimiter();

  constructor(onError: OnError<Data> | undefined, logger: Logger) {
    this.#onError = onError;
    this.#logger = logger;
    this.events = new EventLog(logger);
  }

  /** Tells of an error. Never throws. */
  report(error: unknown, context: ServeErrorContext<Data>): void {
    if (LIMITED.has(context.phase) && !this.#calls.ask(context.phase, performance.now()).write) return;
    const onError = this.#onError;
    if (onError === undefined) return this.#log(error, context);
    callHook(() => onError(error, context), (thrown) => this.#log(thrown, { phase: "hook" }));
  }

  /** The server is in another state. */
  told(state: ServerState, address: Address | undefined, connections: number): void {
    const message = STATES[state];
    this.events.tell({ level: "info", kind: "state", message, fields: { state, address, connections } });
  }

  /** Calls a hook; what it throws, or rejects with later, is reported. */
  guard(hook: () => unknown, connection?: Connection<Data>): void {
    callHook(hook, (error) => this.report(error, { phase: "hook", connection }));
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
      } else if (code === "ERR_CERT_EXPIRING") {
        this.#logger.warn(`${text}${more}`, { ...fields, error });
      } else {
        this.#logger.error(`Server error in phase "${phase}": ${text}${more}`, { ...fields, error });
      }
    } catch {
      // A logger that throws must not end the server.
    }
  }
}
