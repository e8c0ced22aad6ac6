// parley ipc query: asks the server of a channel, and writes its answer.
import { unlessAborted } from "../../../async/deadline.ts";
import type { Arguments } from "../../command/arguments.ts";
import type { Command } from "../../command/command.ts";
import { UsageError } from "../../command/usage.ts";
import { TimeLimit } from "../../flags/time_limit.ts";
import { aborted, StopSignals } from "../../process/stop.ts";
import { DIAL_FLAGS, dialChannel } from "./dial.ts";
import { openInput, Output, readWhole } from "../connect/standard.ts";

/** Longest wait for an answer, in ms, where no other time was typed. */
const ANSWER_MS = 5000;

/** `parley ipc query` */
export const ipcQueryCommand: Command = {
  name: "query",
  summary: "Ask the server of a channel",
  about:
    `Connects to the server of the channel NAME, asks it what stands in TEXT, or else in standard input, and
    writes the answer to standard output as it is. Ends with 1 when the server cannot answer, or not in time.`,
  operands: "NAME [TEXT]",
  flags: [
    {
      name: "timeout",
      value: "TIME",
      about:
        "Longest time for all of it: to connect, to read the question and to get the answer (default: 5s for the answer)",
    },
    ...DIAL_FLAGS,
  ],
  examples: ["parley ipc query jobs status", "parley ipc query images < photo.jpg > small.jpg"],
  run: runQuery,
};

async function runQuery(args: Arguments): Promise<number> {
  const [name, text = ""] = args.someOperands("NAME", "[TEXT]");
  if (args.operands[1] === "") {
    throw new UsageError("TEXT is empty; leave it out to ask what standard input holds");
  }
  using stop = new StopSignals();
  using limit = new TimeLimit(args, {
    byDefaultMs: ANSWER_MS,
    code: "ERR_READ_TIMEOUT",
    action: "Cannot ask",
  });
  const client = await dialChannel(args, { name, stop, mostMs: limit.leftMs });
  const input = openInput({ lines: false });
  const signal = AbortSignal.any([stop.signal, limit.signal]);
  void aborted(signal).then(() => input.stopInput());
  try {
    const question = text === "" ? await unlessAborted(readWhole(input), signal) : text;
    signal.throwIfAborted();
    const answer = await client.query(question, { timeoutMs: limit.lastStepMs, signal });
    await client.close();
    const output = new Output();
    await output.write(answer);
    await output.flush();
    return 0;
  } catch (error) {
    client.abort(error as Error);
    throw error;
  }
}
