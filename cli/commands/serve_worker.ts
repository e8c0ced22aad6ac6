// The handler's module of `parley serve --workers`: each thread answers as the options say.
import type { Connection } from "../../connection.ts";
import type { WorkerModuleOptions, WorkerStart } from "../../server.ts";
import { Arguments } from "../command/arguments.ts";
import type { CommandSyntax } from "../command/syntax.ts";
import { framingOf } from "../flags/framing.ts";
import { openLogger } from "../flags/logger.ts";
import { loggingOf } from "../flags/logging.ts";
import { type Answering, answeringOf, connectionLog } from "./serve_answering.ts";

/** Address of this module, for `serveWorkers`: a compiled program has every module that is imported. */
export const HANDLER_URL: string = import.meta.url;

/** What a thread gets: what was typed, and how to read it. */
export interface WorkerInput {
  readonly syntax: CommandSyntax;
  readonly typed: readonly string[];
  /** Name of the runs of programs, in whatever thread. */
  readonly family: string;
}

let answering: Answering;

/** Reads what was typed, as the main thread did. */
export async function options({ input, worker }: WorkerStart): Promise<WorkerModuleOptions> {
  const { syntax, typed, family } = input as WorkerInput;
  const args = new Arguments(syntax, typed);
  const logger = openLogger(loggingOf(args));
  const framing = framingOf(args);
  answering = await answeringOf(args, framing, logger, { family, worker });
  // A thread that died could not end its own.
  await answering.programs?.endAll();
  return {
    framing: framing.framing,
    ...connectionLog(logger),
    onStop: () => answering.programs?.endAll(),
  };
}

/** Serves one connection. */
export default function handle(connection: Connection): Promise<void> | void {
  return answering.handler(connection);
}
