// What `parley serve` answers by: an echo or a program, from its options to the hooks of a server.
import type { Connection } from "../../connection.ts";
import type { Logger } from "../../log/logger.ts";
import type { Handler } from "../../server.ts";
import { addressText } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import { UsageError } from "../command/usage.ts";
import { type FramingChoice, pipeFramingOf } from "../flags/framing.ts";
import { programOf } from "../flags/programs.ts";
import { echo, perConnection, perMessage } from "./serve/handlers.ts";
import type { RunningThread } from "./serve/leftovers.ts";
import type { Programs } from "./serve/programs.ts";

/** When a program is started. */
export const KINDS = ["message", "connection"] as const;

/** What answers. */
export interface Answering {
  readonly handler: Handler;
  /** The programs that it runs; absent for an echo. */
  readonly programs?: Programs | undefined;
}

/** Returns what answers, as the options say; `thread` is given where several threads answer. */
export async function answeringOf(
  args: Arguments,
  { name: framingName, lines, maxMessageBytes }: FramingChoice,
  logger: Logger,
  thread?: RunningThread,
): Promise<Answering> {
  const per = args.choice("per", KINDS, "message");
  if (args.text("program-framing") !== undefined && per !== "connection") {
    throw new UsageError('Option "--program-framing" goes with --per connection');
  }
  const pipes = pipeFramingOf(args, "program-framing", framingName);
  const lastEnd = per === "connection" ? pipes.lastEnd : undefined;
  const defaults = { timeoutMs: per === "message" ? 10_000 : 0, lastEnd, logger, thread };
  const program = await programOf(args, defaults, ["per"]);
  if (program === undefined) return { handler: echo };
  const { programs, timeoutMs } = program;
  const handler = per === "message"
    ? perMessage({ programs, lines, maxAnswerBytes: maxMessageBytes, timeoutMs })
    : perConnection({ programs, framing: pipes.framing, maxMessageBytes, timeoutMs });
  return { handler, programs };
}

/** Hooks of a server that log what is known of its connections. */
export function connectionLog(logger: Logger) {
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
