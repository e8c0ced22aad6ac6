// parley ipc send: standard input as messages to the server of a channel.
import { ClosedError } from "../../../errors.ts";
import type { Local } from "../connect/local.ts";
import type { IpcClient } from "../../../ipc/mod.ts";
import type { Arguments } from "../../command/arguments.ts";
import type { Command } from "../../command/command.ts";
import { StopSignals } from "../../process/stop.ts";
import { say } from "../../output/talk.ts";
import { DIAL_FLAGS, dialChannel } from "./dial.ts";
import { openInput, readWhole } from "../connect/standard.ts";

/** `parley ipc send` */
export const ipcSendCommand: Command = {
  name: "send",
  summary: "Send standard input to a channel",
  about:
    `Connects to the server of the channel NAME and sends standard input as one message, or each of its lines as
    one. Waits while the server is slow, and ends once the server's process has received everything: exit code 0 says
    that it has.`,
  operands: "NAME",
  flags: [
    { name: "type", value: "NUMBER", about: "Type of the messages, 1 to 4294967295 (default: 1)" },
    { name: "lines", about: "Send each line as a message, as soon as it is there" },
    ...DIAL_FLAGS,
  ],
  examples: [
    "parley ipc send jobs < order.json",
    "tail -f app.log | parley ipc send logs --lines --type 7",
  ],
  run: runSend,
};

async function runSend(args: Arguments): Promise<number> {
  const [name] = args.someOperands("NAME");
  const type = args.count("type", { byDefault: 1, least: 1, most: 2 ** 32 - 1 });
  const lines = args.has("lines");
  using stop = new StopSignals();
  const client = await dialChannel(args, { name, stop });
  const input = openInput({ lines });
  void stop.stopped.then(() => input.stopInput());
  try {
    const sending = lines
      ? sendLines(client, input, type)
      : sendWhole(client, { input, type, stop: stop.signal });
    // A server that goes is reported at once, and not with the next line.
    await Promise.race([sending, failWhenGone(client)]);
    await client.flush();
    await client.close();
  } catch (error) {
    client.abort(error as Error);
    throw error;
  }
  if (!stop.signal.aborted) return 0;
  say("parley ipc send: Interrupted; what was read was sent");
  return 1;
}

async function failWhenGone(client: IpcClient): Promise<never> {
  await client.closed;
  throw new ClosedError("ERR_RESET", "Cannot go on: the server has gone");
}

async function sendLines(client: IpcClient, input: Local, type: number): Promise<void> {
  for await (const line of input.input) await client.send(type, line);
}

async function sendWhole(
  client: IpcClient,
  { input, type, stop }: {
    readonly input: Local;
    readonly type: number;
    readonly stop: AbortSignal;
  },
): Promise<void> {
  const whole = await readWhole(input);
  // A part must not be taken for the whole.
  stop.throwIfAborted();
  await client.send(type, whole);
}
