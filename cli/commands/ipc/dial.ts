// dialChannel(): connects to the server of a channel for `parley ipc send` and `parley ipc query`.
import { DeadlineSignal } from "../../../async/deadline.ts";
import { connectIpc, type IpcClient } from "../../../ipc/mod.ts";
import type { Arguments } from "../../command/arguments.ts";
import type { Flag } from "../../command/syntax.ts";
import { usageOf } from "../../command/usage.ts";
import type { StopSignals } from "../../process/stop.ts";
import { CHANNEL_FLAGS, channelOf } from "./channel.ts";

/** Options of a command that connects. */
export const DIAL_FLAGS: readonly Flag[] = [
  ...CHANNEL_FLAGS,
  {
    name: "connect-timeout",
    value: "TIME",
    about: "Longest wait for the server to be there (default: 10s)",
  },
];

/** What {@linkcode dialChannel} needs beside the arguments. */
export interface DialOptions {
  /** Name of the channel. */
  readonly name: string;
  /** Ends the attempt. */
  readonly stop: StopSignals;
  /** Longest time in ms, where that is less than `--connect-timeout`. @default {no other bound} */
  readonly mostMs?: number | undefined;
}

/** Connects, once. What the server writes is read and left out, so that it holds up nothing. */
export async function dialChannel(
  args: Arguments,
  { name, stop, mostMs = Infinity }: DialOptions,
): Promise<IpcClient> {
  const typedMs = args.ms("connect-timeout", { byDefault: 10_000, least: 1, most: 3600e3 });
  const connectTimeoutMs = Math.max(1, Math.min(typedMs, Math.ceil(mostMs)));
  const channel = await channelOf(args, name);
  // Stopped once it is connected: then the client ends in its own order.
  using attempt = new DeadlineSignal({ signal: stop.signal });
  try {
    const client = await connectIpc({
      ...channel,
      connectTimeoutMs,
      reconnect: false,
      signal: attempt.signal,
    });
    void leaveOut(client);
    return client;
  } catch (error) {
    throw usageOf(error);
  }
}

async function leaveOut(client: IpcClient): Promise<void> {
  try {
    for await (const _message of client);
  } catch {
    // The call that writes or asks rejects.
  }
}
