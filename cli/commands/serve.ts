// parley serve: a server of messages that echoes, or runs a program for each message or connection.
import type { Connection } from "../../connection.ts";
import type { RateLimit, RateLimitsOptions } from "../../limits/rate_limits.ts";
import type { Logger } from "../../log/logger.ts";
import { type Handler, serve, type ServeOptions, type Server } from "../../server.ts";
import { ADDRESS_FORMS, addressText, parseAddress } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import { asTyped, UsageError } from "../command/usage.ts";
import type { Command } from "../command/command.ts";
import {
  FRAMING_FLAGS,
  FRAMING_NAMES,
  type FramingChoice,
  framingOf,
  pipeFramingOf,
} from "../flags/framing.ts";
import {
  CONNECTION_FLAGS,
  type ConnectionLimits,
  connectionLimits,
  drainFlag,
  drainTimeout,
} from "../flags/limits.ts";
import { LOG_FLAGS, loggingOf } from "../flags/logging.ts";
import { programFlags, programOf } from "../flags/programs.ts";
import { openStats, STATS_FLAGS, statsPlace } from "../flags/stats.ts";
import { SERVER_TLS_FLAGS, serverTls } from "../flags/tls.ts";
import { serverErrorsTo } from "../output/error_lines.ts";
import { LimitedLines } from "../output/limited_lines.ts";
import { sayFailure } from "../output/hints.ts";
import { sayDraining, sayLeaving, tellListening } from "../output/listening.ts";
import { forLibrary, openLogger } from "../flags/logger.ts";
import { echo, perConnection, perMessage } from "./serve/handlers.ts";
import type { Programs } from "./serve/programs.ts";
import { goOn, StopSignals } from "../process/stop.ts";
import { count, duration, print, say } from "../output/talk.ts";
import { jsonText } from "../output/json_text.ts";

/** Where it listens unless set otherwise: on this machine only. */
const DEFAULT_ADDRESS = "5555";

const KINDS = ["message", "connection"] as const;
const SCOPES = ["connection", "source", "server"] as const;

/** `parley serve` */
export const serveCommand: Command = {
  name: "serve",
  summary: "Answer messages: an echo, or a program of yours",
  about:
    `Listens on ADDRESS, which is ${ADDRESS_FORMS} (default: ${DEFAULT_ADDRESS}), and sends every message
    back. With a PROGRAM behind --, the program answers instead. It is started without a shell, once for each message, which
    is its standard input while its standard output is the answer, or once for each connection, whose messages it
    reads from standard input and answers on standard output. PARLEY_PEER in its environment is the client's address, and
    PARLEY_PEER_NAME the subject of the client's certificate. When it fails, its connection ends.

    Ends in order on SIGINT and SIGTERM: what was received is answered first.`,
  operands: "[ADDRESS]",
  rest: "PROGRAM [ARGUMENT...]",
  flags: [
    ...FRAMING_FLAGS,
    ...SERVER_TLS_FLAGS,
    {
      name: "per",
      value: "KIND",
      about: "Start the program for each message or each connection (default: message)",
      choices: KINDS,
    },
    {
      name: "program-framing",
      value: "NAME",
      about:
        "With --per connection: the framing between messages of the program (default: that of --framing)",
      choices: FRAMING_NAMES,
    },
    ...programFlags("10s for a message, 0s for a connection"),
    ...CONNECTION_FLAGS,
    {
      name: "idle-timeout",
      value: "TIME",
      about: "End connections without traffic for so long; 0s is never (default: 5m)",
    },
    {
      name: "messages-per-second",
      value: "COUNT",
      about: "Slow down clients that send more (default: no limit)",
    },
    {
      name: "bytes-per-second",
      value: "BYTES",
      about: "Slow down clients that send more (default: no limit)",
    },
    {
      name: "rates-per",
      value: "WHAT",
      about:
        "Whose rates are limited: of each connection, each source address or the whole server (default: connection)",
      choices: SCOPES,
    },
    drainFlag("connections"),
    { name: "json", about: "Print the address and the summary as JSON on standard output" },
    ...STATS_FLAGS,
    ...LOG_FLAGS,
  ],
  examples: [
    "parley serve 5555",
    "parley serve 5555 --per connection -- /usr/bin/sort -u",
    "parley serve 0.0.0.0:5555 --cert server.pem --key server.key -- ./answer",
  ],
  run: runServe,
};

async function runServe(args: Arguments): Promise<number> {
  const address = parseAddress(args.optionalOperand() ?? DEFAULT_ADDRESS);
  const json = args.has("json");
  const framing = framingOf(args);
  const logger = openLogger(loggingOf(args));
  const limits = limitsOf(args);
  const drainTimeoutMs = drainTimeout(args);
  const tls = serverTls(args);
  using lines = new LimitedLines(logger);
  const place = statsPlace(args);
  const { handler, programs } = await handlerOf(args, framing, logger);
  using stop = new StopSignals({ beforeExit: () => programs?.killAll(), onHangUp: goOn });
  const options = {
    ...address,
    ...limits,
    framing: framing.framing,
    maxMessageBytes: framing.maxMessageBytes,
    tls,
    drainTimeoutMs,
    logger: { ...forLibrary(logger), warn: logger.warn },
    onError: serverErrorsTo(lines),
    ...tellsOf(logger),
  };
  const server = asTyped(() => serve(options, handler));
  await server.ready;
  const end = async () => {
    server.abort();
    await programs?.endAll();
  };
  await using _page = await openStats(place, { serve: server }, { json, end });
  tellListening(server.addr, { json });
  await stop.stopped;
  sayLeaving(limits.drainDelayMs);
  const code = await drain(server, programs);
  tellSummary(server, { json });
  return code;
}

/** What the options about limits say, by the names of the library's options. */
export function limitsOf(
  args: Arguments,
): ConnectionLimits & Pick<ServeOptions, "idleTimeoutMs" | "rateLimits"> {
  return {
    ...connectionLimits(args),
    idleTimeoutMs: args.ms("idle-timeout", { byDefault: 300_000, most: 2 ** 31 - 1 }),
    rateLimits: ratesOf(args),
  };
}

function ratesOf(args: Arguments): RateLimitsOptions {
  const messagesPerSecond = args.optionalCount("messages-per-second", { least: 1, most: 1e9 });
  const rate: RateLimit = {
    ...messagesPerSecond !== undefined && { messagesPerSecond },
    ...args.text("bytes-per-second") === undefined
      ? {}
      : { bytesPerSecond: args.bytes("bytes-per-second", { byDefault: 0, least: 1, most: 1e12 }) },
  };
  const scope = args.choice("rates-per", SCOPES, "connection");
  switch (scope) {
    case "connection":
      return { perConnection: rate };
    case "source":
      return { perSource: rate };
    case "server":
      return { perServer: rate };
  }
}

/** What answers, and the programs that it runs. */
async function handlerOf(
  args: Arguments,
  { name: framingName, lines, maxMessageBytes }: FramingChoice,
  logger: Logger,
): Promise<{ readonly handler: Handler; readonly programs?: Programs | undefined }> {
  const per = args.choice("per", KINDS, "message");
  if (args.text("program-framing") !== undefined && per !== "connection") {
    throw new UsageError('Option "--program-framing" goes with --per connection');
  }
  const pipes = pipeFramingOf(args, "program-framing", framingName);
  const lastEnd = per === "connection" ? pipes.lastEnd : undefined;
  const defaults = { timeoutMs: per === "message" ? 10_000 : 0, lastEnd, logger };
  const program = await programOf(args, defaults, ["per"]);
  if (program === undefined) return { handler: echo };
  const { programs, timeoutMs } = program;
  const handler = per === "message"
    ? perMessage({ programs, lines, maxAnswerBytes: maxMessageBytes, timeoutMs })
    : perConnection({ programs, framing: pipes.framing, maxMessageBytes, timeoutMs });
  return { handler, programs };
}

/** What is logged about connections. */
function tellsOf(logger: Logger) {
  return {
    onConnect: (connection: Connection) => {
      const { id, remoteAddr, tls } = connection;
      const peer = tls?.peerCertificate?.subject;
      const fields = { connection: id, peer: addressText(remoteAddr) };
      logger.debug("Connection opened", peer === undefined ? fields : { ...fields, subject: peer });
    },
    onDisconnect: (connection: Connection) => {
      const { id, messagesIn, messagesOut, onlineMs, errorCode } = connection.stats();
      const ms = Math.round(onlineMs);
      const fields = { connection: id, messagesIn, messagesOut, ms };
      logger.debug(
        "Connection ended",
        errorCode === null ? fields : { ...fields, code: errorCode },
      );
    },
  };
}

/** Lets connections end in order, and leaves no program behind; returns the exit code. */
async function drain(server: Server, programs: Programs | undefined): Promise<number> {
  sayDraining(server.connections.size, "connection");
  try {
    await server.shutdown();
    return 0;
  } catch (error) {
    sayFailure("parley serve", error);
    return 1;
  } finally {
    await programs?.endAll();
  }
}

function tellSummary(server: Server, { json }: { readonly json: boolean }): void {
  const { overall, onlineMs } = server.stats();
  const { connectionsOpened, connectionsRefused, messagesIn, messagesOut, bytesIn, bytesOut } =
    overall;
  if (json) {
    const counters = {
      connectionsOpened,
      connectionsRefused,
      messagesIn,
      messagesOut,
      bytesIn,
      bytesOut,
    };
    print(jsonText({ event: "summary", ms: Math.round(onlineMs), ...counters }));
    return;
  }
  say(
    `served ${count(connectionsOpened)} connections in ${duration(onlineMs)}: ` +
      `${count(messagesIn)} messages in (${count(bytesIn)} bytes), ` +
      `${count(messagesOut)} out (${count(bytesOut)} bytes)`,
  );
}
