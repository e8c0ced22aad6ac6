// parley ipc call: makes a typed call to the server of a channel.
import type { Arguments } from "../../command/arguments.ts";
import type { Command } from "../../command/command.ts";
import { StopSignals } from "../../process/stop.ts";
import { Answers } from "../call/answers.ts";
import { inputOf, makeCall, type MakeCallOptions } from "../call/make_call.ts";
import { CALL_FLAGS, type CallRequest, limitOf, readRequest } from "../call/request.ts";
import { DIAL_FLAGS, dialChannel } from "./dial.ts";

/** `parley ipc call` */
export const ipcCallCommand: Command = {
  name: "call",
  summary: "Make a typed call to the server of a channel",
  about:
    `Connects to the server of the channel CHANNEL and calls NAME with the input JSON. NAME is that of the call, behind the
    name of its contract and a dot where that has one: clock.add. JSON is read from standard input when it is "-"; a
    call without input needs none. The output is printed as a line of JSON.

    With --feed the call has many answers, a line each; --collect and --talk read many inputs, a line each, from
    standard input. Ctrl-C ends a call with many answers in order.

    Exit code 1 when the call fails: standard error has the text and the code of the error, and the data that the
    handler added.`,
  operands: "CHANNEL NAME [JSON]",
  flags: [...CALL_FLAGS, ...DIAL_FLAGS],
  examples: [
    `parley ipc call jobs clock.add '{"a": 1, "b": 2}'`,
    `parley ipc call jobs clock.ticks '{"everyMs": 500}' --feed`,
  ],
  run: runIpcCall,
};

async function runIpcCall(args: Arguments): Promise<number> {
  const [channel, name, json] = args.someOperands("CHANNEL", "NAME", "[JSON]");
  const request = readRequest(args, name, json);
  using stop = new StopSignals();
  using limit = limitOf(args, request);
  const answers = new Answers(request.output);
  try {
    const input = await inputOf(request, AbortSignal.any([stop.signal, limit.signal]));
    await callChannel(args, channel, request, { input, answers, stop, limit });
  } catch (error) {
    await answers.failed(error);
    throw error;
  }
  return 0;
}

async function callChannel(
  args: Arguments,
  name: string,
  request: CallRequest,
  options: MakeCallOptions,
): Promise<void> {
  const { stop, limit, answers } = options;
  const client = await dialChannel(args, { name, stop, mostMs: limit.leftMs });
  try {
    await makeCall(client, request, options);
    await answers.flush();
    await client.close();
  } catch (error) {
    client.abort(error as Error);
    throw error;
  }
}
