// parley hub: a server through which its clients open streams to each other, as tokens and rules allow.
import { type AuthorizeRequest, hub, type MountedWire, type WireSession } from "../../wire/mod.ts";
import type { Logger } from "../../log/logger.ts";
import { ADDRESS_FORMS, addressText, parseAddress } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import { asTyped, UsageError } from "../command/usage.ts";
import type { Command } from "../command/command.ts";
import { CONNECTION_FLAGS, connectionLimits, drainFlag, drainTimeout } from "../flags/limits.ts";
import { LOG_FLAGS, loggingOf } from "../flags/logging.ts";
import { checkPlain, PLAIN_FLAG } from "../flags/plain.ts";
import { openStats, STATS_FLAGS, statsPlace } from "../flags/stats.ts";
import { SERVER_TLS_FLAGS, serverTls } from "../flags/tls.ts";
import { TOKEN_FILE_FLAG, tokenOf } from "../flags/token.ts";
import { type AccessSources, HubAccess } from "./hub/access.ts";
import { parseRule, type Rule } from "./hub/rules.ts";
import { MIN_TOKEN_CHARACTERS } from "./hub/tokens.ts";
import { sayFailure } from "../output/hints.ts";
import { sayDraining, sayLeaving, tellListening } from "../output/listening.ts";
import { forLibrary, openLogger } from "../flags/logger.ts";
import { StopSignals } from "../process/stop.ts";
import { print } from "../output/talk.ts";
import { LimitedLines, type LineLevel } from "../output/limited_lines.ts";
import { kindOf, wireErrorsTo } from "../output/error_lines.ts";
import { jsonText } from "../output/json_text.ts";

/** Where it listens unless set otherwise: on this machine only. */
const DEFAULT_ADDRESS = "7000";

/** `parley hub` */
export const hubCommand: Command = {
  name: "hub",
  summary: "Join programs on different machines through one server",
  about:
    `Listens on ADDRESS, which is ${ADDRESS_FORMS} (default: ${DEFAULT_ADDRESS}), and relays streams from one client
    to another: "parley expose" and "parley forward", or programs of yours that join.

    Clients prove who they are by a token. A file of tokens has a line for each: an identity, a space, and its token of
    ${MIN_TOKEN_CHARACTERS} characters or more, or "sha256:" and the SHA-256 of it in hex, so that the file holds none. An
    identity may have several lines while its token is replaced. Lines that start with # are ignored. With one token
    for all in place of a file, every client that has it can take any identity.

    No client may open a stream unless a rule allows it: FROM:TO:NAME, where * stands for any characters, and the NAME of
    a tunnel is "tcp:" and what "parley expose" calls it. A file of rules has lines of FROM TO NAME.

    Files are read again when they change, and on SIGHUP; sessions whose token was removed are ended. Ends in order on
    SIGINT and SIGTERM.`,
  operands: "[ADDRESS]",
  flags: [
    { name: "tokens", value: "FILE", about: "File of identities and tokens, readable by you only" },
    { ...TOKEN_FILE_FLAG, about: "File of one token for all (default: the token in PARLEY_TOKEN)" },
    {
      name: "allow",
      value: "FROM:TO:NAME",
      about: "Allow streams; may be given often",
      many: true,
    },
    { name: "rules", value: "FILE", about: "File of further rules" },
    {
      name: "presence",
      about:
        "Announce to clients which others have joined, of those to which they may open streams",
    },
    ...SERVER_TLS_FLAGS,
    PLAIN_FLAG,
    ...STATS_FLAGS,
    ...CONNECTION_FLAGS,
    {
      name: "max-streams-per-pair",
      value: "COUNT",
      about: "Streams at a time between two clients (default: 64)",
    },
    drainFlag("streams"),
    {
      name: "json",
      about: "Print the address, and joining and leaving clients, as JSON on standard output",
    },
    ...LOG_FLAGS,
  ],
  examples: [
    "parley hub 7000 --tokens tokens.txt --allow 'home:office:tcp:web'",
    "parley hub 0.0.0.0:7000 --cert hub.pem --key hub.key --tokens t --rules r",
  ],
  run: runHub,
};

async function runHub(args: Arguments): Promise<number> {
  const address = parseAddress(args.optionalOperand() ?? DEFAULT_ADDRESS);
  const tls = serverTls(args);
  checkPlain(args, address, { tls, need: "--cert and --key" });
  const logger = openLogger(loggingOf(args));
  const limits = {
    ...connectionLimits(args),
    maxStreamsPerPair: args.count("max-streams-per-pair", {
      byDefault: 64,
      least: 1,
      most: 65_536,
    }),
  };
  const timeoutMs = drainTimeout(args);
  const place = statsPlace(args);
  const json = args.has("json");
  using lines = new LimitedLines(logger);
  const talk = new HubTalk(lines, json);
  const sources = await sourcesOf(args);
  let reload = () => {};
  using stop = new StopSignals({ onHangUp: () => reload() });
  const sessions = new Set<WireSession>();
  using access = await HubAccess.open(sources, {
    onReload: () => {
      logger.info("Tokens and rules were read anew", { rules: access.rules });
      for (const session of sessions) endUnless(access, session, logger);
    },
    onUnfit: (error) =>
      logger.error("Changed tokens or rules cannot be used; the old ones hold", { error }),
    onRefused: (request) => talk.refused(request),
    onStream: (stream, allowed) => talk.stream(stream, allowed),
  });
  if (access.rules === 0) {
    logger.warn(
      "No rule allows any stream: give --allow or --rules, or no client can open anything",
    );
  }
  const wire = asTyped(() =>
    hub({
      ...address,
      ...limits,
      tls,
      authorize: (request) => access.authorize(request),
      presence: args.has("presence") ? (request) => access.visible(request) : undefined,
      logger: { ...forLibrary(logger), warn: logger.warn },
      onError: wireErrorsTo(lines),
      onOpen: (session) => {
        sessions.add(session);
        talk.joined(session);
      },
      onOffers: (session) => talk.offers(session),
      onClose: (session, error) => {
        sessions.delete(session);
        const { identity } = session;
        if (![...sessions].some((other) => other.identity === identity)) access.forget(identity);
        talk.left(session, error);
      },
    })
  );
  reload = () => void access.reload();
  await wire.ready;
  await using _page = await openStats(place, { hub: wire }, { json, end: () => wire.shutdown() });
  tellListening(wire.addr, { json });
  await stop.stopped;
  sayLeaving(limits.drainDelayMs);
  return await drain(wire, timeoutMs);
}

async function sourcesOf(args: Arguments): Promise<AccessSources> {
  const rules = args.all("allow").map(parseRule);
  const rulesFile = args.text("rules");
  const file = args.text("tokens");
  if (file !== undefined) {
    if (args.text("token-file") !== undefined) {
      throw new UsageError("--tokens and --token-file exclude each other");
    }
    return { tokens: { file }, rules, rulesFile };
  }
  const shared = await tokenOf(args);
  if (shared === undefined) {
    throw new UsageError(
      "Who may join is missing: give --tokens FILE, --token-file FILE or PARLEY_TOKEN",
    );
  }
  if ([...shared].length < MIN_TOKEN_CHARACTERS) {
    throw new RangeError(
      `Cannot use the token: it must have ${MIN_TOKEN_CHARACTERS} characters or more`,
    );
  }
  return { tokens: { shared }, rules, rulesFile };
}

/** Ends a session whose token is no longer among those that are allowed. */
function endUnless(access: HubAccess, session: WireSession, logger: Logger): void {
  if (access.stillAllowed(session.identity)) return;
  logger.warn("Session ended: its token is no longer allowed", { identity: session.identity });
  session.abort();
}

/** Most offers of one client that a line of the log names. */
const MOST_OFFERS = 8;

/**
 * What a hub reports about its clients. Each of them can come, go and ask as often as it likes:
 * lines are limited per kind.
 */
class HubTalk {
  readonly #lines: LimitedLines;
  readonly #json: boolean;

  constructor(lines: LimitedLines, json: boolean) {
    this.#lines = lines;
    this.#json = json;
  }

  joined(session: WireSession): void {
    const { identity, remoteAddr, offers } = session;
    const peer = addressText(remoteAddr);
    this.#write("info", "Joined", { identity, peer, ...offersOf(offers) });
    this.#event({ event: "joined", identity, peer, offers });
  }

  offers({ identity, offers }: WireSession): void {
    this.#write("info", "Offers changed", { identity, ...offersOf(offers) });
    this.#event({ event: "offers", identity, offers });
  }

  refused({ kind, identity, remoteAddr }: AuthorizeRequest): void {
    const fields = { identity, peer: addressText(remoteAddr) };
    this.#write("warn", "Client refused: this is not the token of the identity", fields, kind);
  }

  stream(stream: Rule, allowed: boolean): void {
    if (allowed) this.#write("debug", "Stream allowed", { ...stream });
    else this.#write("warn", "Stream refused: no rule allows it", { ...stream });
  }

  left({ identity }: WireSession, error: Error | undefined): void {
    const fields = error === undefined ? { identity } : { identity, reason: error.message };
    this.#write("info", "Left", fields, kindOf(error));
    this.#event({ event: "left", identity, reason: error?.message ?? null });
  }

  #write(level: LineLevel, text: string, fields: Record<string, unknown>, kind: string = ""): void {
    this.#lines.write({ level, text, fields, kind });
  }

  #event(event: Record<string, unknown>): void {
    if (this.#json) print(jsonText(event));
  }
}

/**
 * The offers of a client as fields of a line: the first ones, and how many there are in all where
 * there are more.
 */
function offersOf(offers: readonly string[]): Record<string, unknown> {
  if (offers.length <= MOST_OFFERS) return { offers };
  return { offers: offers.slice(0, MOST_OFFERS), offersInAll: offers.length };
}

/** Lets open streams end; returns the exit code. */
async function drain(wire: MountedWire, timeoutMs: number): Promise<number> {
  sayDraining(wire.sessions.length, "session");
  try {
    await wire.shutdown({ timeoutMs });
    return 0;
  } catch (error) {
    sayFailure("parley hub", error);
    return 1;
  }
}
