// HubLink: how commands join a hub, report the state of their link, and end.
import { AuthError, ClosedError, ParleyError } from "../../errors.ts";
import type { Logger } from "../../log/logger.ts";
import { join, type JoinedWire } from "../../wire/mod.ts";
import { addressText, parseAddress, type TypedAddress } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import { asTyped, UsageError } from "../command/usage.ts";
import type { Flag } from "../command/syntax.ts";
import { drainFlag, drainTimeout } from "../flags/limits.ts";
import { LOG_FLAGS, loggingOf } from "../flags/logging.ts";
import { checkPlain, PLAIN_FLAG } from "../flags/plain.ts";
import { CLIENT_TLS_FLAGS, clientTls } from "../flags/tls.ts";
import { TOKEN_FILE_FLAG, tokenOf } from "../flags/token.ts";
import { forLibrary, openLogger } from "../flags/logger.ts";
import { duration, print } from "../output/talk.ts";
import { resolveClientTls } from "../../tls/load.ts";
import { addHint } from "../output/hints.ts";
import { mayConcernTls, oneSidedTlsHint, type TlsSituation } from "../output/tls_hint.ts";
import { reasonOf, wireErrorsTo } from "../output/error_lines.ts";
import { LimitedLines } from "../output/limited_lines.ts";
import { jsonText } from "../output/json_text.ts";

/** Options of a command that joins a hub for one task. */
export const HUB_JOIN_FLAGS: readonly Flag[] = [
  { name: "identity", value: "NAME", about: "Who we are at the hub; must be given" },
  TOKEN_FILE_FLAG,
  ...CLIENT_TLS_FLAGS,
  PLAIN_FLAG,
];

/** Options of a command that joins a hub, and stays. */
export const HUB_LINK_FLAGS: readonly Flag[] = [
  ...HUB_JOIN_FLAGS,
  { name: "no-reconnect", about: "End with 1 when the hub cannot be reached, or is lost" },
  drainFlag("connections"),
  { name: "json", about: "Tell how the link to the hub is as JSON on standard output" },
  ...LOG_FLAGS,
];

/** A link to a hub that is kept up. */
export interface HubLink {
  readonly wire: JoinedWire;
  readonly logger: Logger;
  /** Takes what strangers and peers can bring about; the command disposes of it. */
  readonly lines: LimitedLines;
  /** Time in ms that connections have to end. */
  readonly drainTimeoutMs: number;
  /** Rejects when the link has ended by itself; never resolves. */
  readonly failed: Promise<never>;
}

/** What the arguments say, checked before anything is opened. */
interface LinkPlan {
  readonly hub: TypedAddress;
  readonly identity: string;
  readonly json: boolean;
  readonly once: boolean;
  readonly drainTimeoutMs: number;
}

/** How a command that joins for one task does so. */
export interface JoinHubOptions {
  /**
   * Joins once, and leaves it to the caller to report how that ended: no events, and no lines below
   * warnings. @default {false}
   */
  readonly once?: boolean | undefined;
  /** Longest time for an attempt to join, in ms. @default {that of `join`} */
  readonly timeoutMs?: number | undefined;
}

/**
 * Joins the hub at the address that was typed. It is called when the link is up, down, and tried again, with
 * the reason.
 *
 * @throws {UsageError} when the arguments make no sense
 * @throws {Deno.errors.NotFound | TlsError | AuthError} when a file is absent, or not what it must be
 */
export async function joinHub(
  args: Arguments,
  typedHub: string,
  { once = false, timeoutMs }: JoinHubOptions = {},
): Promise<HubLink> {
  const hub = parseAddress(typedHub);
  const tls = clientTls(args);
  checkPlain(args, hub, { tls, need: "--tls or --ca" });
  const plan = {
    hub,
    identity: args.needed("identity"),
    json: args.has("json") && !once,
    once,
    drainTimeoutMs: drainTimeout(args),
  };
  const logger = openLogger(loggingOf(args, once ? "warn" : "info"));
  // A hub without authentication needs none: it is the hub that decides.
  const token = await tokenOf(args);
  // Files that cannot be used are reported now, and not with each attempt.
  if (tls !== undefined) await resolveClientTls(tls);
  const lines = new LimitedLines(logger);
  const talk = new LinkTalk(logger, plan, tls);
  const wire = asTyped(() =>
    join({
      ...hub,
      identity: plan.identity,
      token,
      tls,
      timeoutMs,
      ...(once || args.has("no-reconnect") ? { reconnect: false as const } : {}),
      logger: forLibrary(logger),
      onError: once ? () => {} : wireErrorsTo(lines),
      onOpen: () => talk.up(),
      onClose: (_session, error) => talk.down(error),
      onRetry: (info) => talk.retry(info),
    })
  );
  const failed = wire.closed.then(async (error): Promise<never> => {
    if (token === undefined && error instanceof AuthError) {
      throw new UsageError(
        "The token is missing: the hub wants one; give --token-file FILE or PARLEY_TOKEN",
      );
    }
    await talk.explain(error);
    throw error ?? new ClosedError("ERR_CLOSED", "The hub closed the session");
  });
  failed.catch(() => {});
  return { wire, logger, lines, drainTimeoutMs: plan.drainTimeoutMs, failed };
}

/** What is reported about a link. */
class LinkTalk {
  readonly #logger: Logger;
  readonly #hub: string;
  readonly #identity: string;
  readonly #json: boolean;
  readonly #once: boolean;
  readonly #situation: TlsSituation;
  /** What to do about TLS: looked at once, and not at all after a first link, as TLS is right then. */
  #tlsHint: Promise<string | null> | undefined;

  constructor(logger: Logger, { hub, identity, json, once }: LinkPlan, tls: unknown) {
    this.#situation = { address: hub, tls };
    this.#logger = logger;
    this.#hub = addressText(hub);
    this.#identity = identity;
    this.#json = json;
    this.#once = once;
  }

  up(): void {
    this.#tlsHint = Promise.resolve(null);
    this.#logger.info("Connected to the hub", { hub: this.#hub, identity: this.#identity });
    this.#event({ event: "connected", hub: this.#hub, identity: this.#identity });
  }

  down(error: unknown): void {
    if (error === undefined) this.#logger.info("Disconnected from the hub");
    else if (!this.#once) this.#logger.warn("Disconnected from the hub", reasonOf(error));
    this.#event({ event: "disconnected", ...eventOf(error) });
  }

  /** Adds to an error what to do about it at a hub. */
  async explain(error: unknown): Promise<void> {
    if (error instanceof AuthError && error.code === "ERR_AUTH") {
      return addHint(
        error,
        `check that the token is the one that the hub has for "${this.#identity}"`,
      );
    }
    if (!mayConcernTls(error, this.#situation)) return;
    const hint = await (this.#tlsHint ??= oneSidedTlsHint(this.#situation));
    if (hint !== null) addHint(error, hint);
  }

  async retry(
    { attempt, delayMs, error }: { attempt: number; delayMs: number; error: unknown },
  ): Promise<void> {
    await this.explain(error);
    const again = duration(delayMs);
    this.#logger.warn(`Not connected to the hub; trying again in ${again}`, {
      attempt,
      ...reasonOf(error),
    });
    this.#event({ event: "retrying", attempt, delayMs: Math.round(delayMs), ...eventOf(error) });
  }

  #event(event: Record<string, unknown>): void {
    if (this.#json) print(jsonText(event));
  }
}

/** An error as machines read it. */
function eventOf(error: unknown): Record<string, unknown> {
  if (error === undefined) return { code: null };
  return {
    code: error instanceof ParleyError ? error.code : null,
    reason: reasonOf(error)["reason"],
  };
}
