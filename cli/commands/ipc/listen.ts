// parley ipc listen: the server of a channel, which prints messages and answers queries.
import type { Logger } from "../../../log/logger.ts";
import {
  type IpcServer,
  type IpcServerMessage,
  type IpcServerOptions,
  listenIpc,
} from "../../../ipc/mod.ts";
import type { Arguments } from "../../command/arguments.ts";
import type { Command } from "../../command/command.ts";
import { UsageError, usageOf } from "../../command/usage.ts";
import { drainFlag, drainTimeout } from "../../flags/limits.ts";
import { LOG_FLAGS, loggingOf } from "../../flags/logging.ts";
import { programFlags, programOf } from "../../flags/programs.ts";
import { openStats, STATS_FLAGS, statsPlace } from "../../flags/stats.ts";
import { tellListening } from "../../output/listening.ts";
import { openLogger } from "../../flags/logger.ts";
import { answerTo } from "../serve/handlers.ts";
import type { Programs } from "../serve/programs.ts";
import { goOn, StopSignals } from "../../process/stop.ts";
import { CHANNEL_FLAGS, channelOf } from "./channel.ts";
import { Output } from "../connect/standard.ts";
import { jsonText } from "../../output/json_text.ts";

/** `parley ipc listen` */
export const ipcListenCommand: Command = {
  name: "listen",
  summary: "Print what comes over a channel, and answer queries",
  about:
    `Listens on the channel NAME. Each message is printed, followed by a line feed where it has none,
    or with --json as an object on a line: its type, the id of its client, and its text, or its bytes in base64 where
    it is no text. While the output is not read, clients have to wait.

    Queries are refused unless --echo sends them back, or a PROGRAM behind -- answers: it is started without a shell
    once for each, with the query as its standard input; its standard output is the answer.

    Ends in order on SIGINT and SIGTERM: what was received is printed and answered first.`,
  operands: "NAME",
  rest: "PROGRAM [ARGUMENT...]",
  flags: [
    { name: "json", about: "Print objects, and where it listens" },
    { name: "count", value: "COUNT", about: "End after so many messages (default: no end)" },
    { name: "echo", about: "Answer queries with what they hold" },
    ...programFlags("10s"),
    { name: "max-clients", value: "COUNT", about: "Clients at a time (default: 1000)" },
    ...CHANNEL_FLAGS,
    drainFlag("clients"),
    ...STATS_FLAGS,
    ...LOG_FLAGS,
  ],
  examples: ["parley ipc listen logs --json", "parley ipc listen words -- /usr/bin/wc -w"],
  run: runListen,
};

async function runListen(args: Arguments): Promise<number> {
  const [name] = args.someOperands("NAME");
  const json = args.has("json");
  const logger = openLogger(loggingOf(args));
  const wanted = args.optionalCount("count", { least: 1, most: 1e12 }) ?? Infinity;
  const maxClients = args.count("max-clients", { byDefault: 1000, least: 1, most: 65_536 });
  const place = statsPlace(args);
  const timeoutMs = drainTimeout(args);
  const channel = await channelOf(args, name);
  const { onQuery, programs } = await answersOf(args, channel.maxMessageBytes, logger);
  using stop = new StopSignals({ beforeExit: () => programs?.killAll(), onHangUp: goOn });
  const server = await listenIpc({ ...channel, maxClients, onQuery, logger }).catch((error) => {
    throw usageOf(error);
  });
  const end = () => server.shutdown();
  await using _page = await openStats(place, { [name]: server }, { json, end });
  tellListening(server.addr, { json });
  void stop.stopped.then(() => server.shutdown({ timeoutMs }).catch(() => {}));
  try {
    await printMessages(server, { json, wanted });
  } finally {
    // Its rejection is reported; it had begun already when a signal came.
    await server.shutdown({ timeoutMs }).finally(() => programs?.endAll());
  }
  return 0;
}

/** Prints messages until there are as many as were wanted, no program reads them, or the server has ended. */
async function printMessages(
  server: IpcServer,
  { json, wanted }: { readonly json: boolean; readonly wanted: number },
): Promise<void> {
  const output = new Output();
  void output.gone.then(() => server.shutdown().catch(() => {}));
  let left = wanted;
  for await (const message of server) {
    await output.write(json ? asJson(message) : withLineFeed(message.data));
    if (--left <= 0) break;
  }
  await output.flush();
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function asJson({ client, type, data }: IpcServerMessage): Uint8Array {
  const message = { event: "message", client: client.id, type, ...contentOf(data) };
  return new TextEncoder().encode(`${jsonText(message)}\n`);
}

function contentOf(data: Uint8Array): { readonly text: string } | { readonly base64: string } {
  try {
    return { text: strict.decode(data) };
  } catch {
    return { base64: data.toBase64() };
  }
}

function withLineFeed(data: Uint8Array): Uint8Array {
  if (data.at(-1) === 10) return data;
  const line = new Uint8Array(data.length + 1);
  line.set(data);
  line[data.length] = 10;
  return line;
}

type OnQuery = NonNullable<IpcServerOptions["onQuery"]>;

/** What answers queries, and the programs that it runs. */
async function answersOf(
  args: Arguments,
  maxAnswerBytes: number,
  logger: Logger,
): Promise<{ readonly onQuery?: OnQuery | undefined; readonly programs?: Programs | undefined }> {
  if (args.rest !== undefined && args.has("echo")) {
    throw new UsageError("--echo and a program exclude each other");
  }
  const program = await programOf(args, { timeoutMs: 10_000, logger });
  if (program === undefined) return args.has("echo") ? { onQuery: (data) => data } : {};
  const { programs, timeoutMs } = program;
  const options = { programs, lines: false, maxAnswerBytes, timeoutMs };
  const onQuery: OnQuery = (data, { client, signal }) => answerTo(data, client, options, signal);
  return { onQuery, programs };
}
