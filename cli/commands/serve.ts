// parley serve: a server of messages that echoes, or runs a program for each message or connection.
import type { RateLimit, RateLimitsOptions } from "../../limits/rate_limits.ts";
import {
  serve,
  type ServeOptions,
  type Server,
  serveWorkers,
  type WorkersServer,
} from "../../server.ts";
import { ADDRESS_FORMS, parseAddress } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import { asTyped, usageOf } from "../command/usage.ts";
import type { Command } from "../command/command.ts";
import type { CommandSyntax } from "../command/syntax.ts";
import { FRAMING_FLAGS, FRAMING_NAMES, framingOf } from "../flags/framing.ts";
import {
  CONNECTION_FLAGS,
  type ConnectionLimits,
  connectionLimits,
  drainFlag,
  drainTimeout,
} from "../flags/limits.ts";
import { LOG_FLAGS, loggingOf } from "../flags/logging.ts";
import { programFlags } from "../flags/programs.ts";
import { openStats, STATS_FLAGS, statsPlace } from "../flags/stats.ts";
import { SERVER_TLS_FLAGS, serverTls } from "../flags/tls.ts";
import { serverErrorsTo, workersErrorsTo } from "../output/error_lines.ts";
import { LimitedLines } from "../output/limited_lines.ts";
import { sayFailure } from "../output/hints.ts";
import { sayDraining, sayLeaving, tellListening } from "../output/listening.ts";
import { forLibrary, openLogger } from "../flags/logger.ts";
import { answeringOf, connectionLog, KINDS } from "./serve_answering.ts";
import { newFamily } from "./serve/leftovers.ts";
import type { Programs } from "./serve/programs.ts";
import { HANDLER_URL, type WorkerInput } from "./serve_worker.ts";
import { goOn, StopSignals } from "../process/stop.ts";
import { count, duration, print, say } from "../output/talk.ts";
import { jsonText } from "../output/json_text.ts";

/** Where it listens unless set otherwise: on this machine only. */
const DEFAULT_ADDRESS = "5555";

const SCOPES = ["connection", "source", "server"] as const;

/** Most workers that may be asked for. */
const MOST_WORKERS = 1024;

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
    {
      name: "workers",
      value: "COUNT",
      about:
        "Serve in so many threads, one for each core, behind one port; Linux only (default: in one)",
    },
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
    "parley serve 0.0.0.0:5555 --workers 4",
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
  const workers = args.optionalCount("workers", { least: 1, most: MOST_WORKERS });
  const family = newFamily();
  const thread = workers === undefined ? undefined : { family };
  const { handler, programs } = await answeringOf(args, framing, logger, thread);
  using stop = new StopSignals({ beforeExit: () => programs?.killAll(), onHangUp: goOn });
  const options = {
    ...address,
    ...limits,
    maxMessageBytes: framing.maxMessageBytes,
    tls,
    drainTimeoutMs,
    logger: { ...forLibrary(logger), warn: logger.warn },
  };
  const server = workers === undefined
    ? asTyped(() =>
      serve({
        ...options,
        framing: framing.framing,
        onError: serverErrorsTo(lines),
        ...connectionLog(logger),
      }, handler)
    )
    : await serveWorkers(HANDLER_URL, {
      ...options,
      workers,
      input: { syntax: plainSyntax(serveCommand), typed: args.typed, family } satisfies WorkerInput,
      onError: workersErrorsTo(lines),
    }).catch((error) => {
      throw usageOf(error);
    });
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

/** What a thread needs to know of a command to read what was typed: plain data. */
function plainSyntax({ operands, rest, flags }: CommandSyntax): CommandSyntax {
  return { operands, rest, flags };
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

/** Lets connections end in order, and leaves no program behind; returns the exit code. */
async function drain(
  server: Server | WorkersServer,
  programs: Programs | undefined,
): Promise<number> {
  sayDraining(server.stats().connectionsNow, "connection");
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

function tellSummary(server: Server | WorkersServer, { json }: { readonly json: boolean }): void {
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
