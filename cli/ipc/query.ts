// parley ipc query: asks the server of a channel, and writes its answer.
import type { Arguments } from "../arguments.ts";
import { type Command, UsageError } from "../command.ts";
import { StopSignals } from "../stop.ts";
import { DIAL_FLAGS, dialChannel } from "./dial.ts";
import { openInput, Output, readWhole } from "./standard.ts";

/** `parley ipc query` */
export const ipcQueryCommand: Command = {
  name: "query",
  summary: "Ask the server of a channel",
  about:
    `Connects to the server of the channel NAME, asks it what stands in TEXT, or else in standard input, and
    writes the answer to standard output as it is. Ends with 1 when the server cannot answer, or not in time.`,
  operands: "NAME [TEXT]",
  flags: [
    { name: "timeout", value: "TIME", about: "Longest wait for the answer (default: 5s)" },
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
  const timeoutMs = args.ms("timeout", { byDefault: 5000, least: 1, most: 24 * 3600e3 });
  using stop = new StopSignals();
  const client = await dialChannel(args, name, stop);
  const input = openInput({ lines: false });
  void stop.stopped.then(() => input.stopInput());
  try {
    const question = text === "" ? await readWhole(input) : text;
    stop.signal.throwIfAborted();
    const answer = await client.query(question, { timeoutMs, signal: stop.signal });
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
