// parley bench: a load for any server that answers framed messages, and what it measured.
import type { Command } from "../command/command.ts";
import { FRAMING_FLAGS } from "../flags/framing.ts";
import { CLIENT_TLS_FLAGS } from "../flags/tls.ts";

/** `parley bench` */
export const benchCommand: Command = {
  name: "bench",
  summary: "Load a server and measure its throughput and latency",
  about:
    `Sends messages to a server that answers each with one message, in order, such as "parley serve",
    and prints throughput, latencies and errors. Every answer must be what was sent, unless --no-verify is given.

    Without --rate the loop is closed: each connection sends its next message when an answer has come. A stall then
    holds back the very requests that would have seen it, so latencies are told twice: as measured, and corrected for that.
    With --rate the loop is open: messages go out by the clock, and latencies count from the moment at which each was due, however
    late it could be sent: nothing is left out.

    Ctrl-C ends it early, with what was measured so far. Exit code 1 when a connection failed, or an answer was missing
    or wrong.`,
  operands: "ADDRESS",
  flags: [
    { name: "connections", value: "COUNT", about: "Connections (default: 10)" },
    { name: "size", value: "BYTES", about: "Size of each message (default: 64)" },
    {
      name: "in-flight",
      value: "COUNT",
      about: "Most messages without an answer on each connection (default: 1; with --rate 1024)",
    },
    {
      name: "rate",
      value: "COUNT",
      about: "Messages per second over all connections, by the clock (default: as answers come)",
    },
    { name: "duration", value: "TIME", about: "Length of the measurement (default: 10s)" },
    { name: "messages", value: "COUNT", about: "End after so many messages, if that is sooner" },
    { name: "warm-up", value: "TIME", about: "Time before the measurement (default: 1s)" },
    {
      name: "timeout",
      value: "TIME",
      about: "Longest wait for a connection, and for the last answers (default: 10s)",
    },
    { name: "message-file", value: "FILE", about: "Send the content of this file as each message" },
    { name: "no-verify", about: "Accept answers that differ from the message" },
    ...FRAMING_FLAGS,
    ...CLIENT_TLS_FLAGS,
    { name: "json", about: "Print the result as JSON on standard output" },
  ],
  examples: [
    "parley bench 5555 --connections 100 --in-flight 16",
    "parley bench 5555 --rate 20000 --duration 30s --json",
  ],
  async run(args): Promise<number> {
    // Only this command needs its histogram library.
    const { runBench } = await import("./bench/run.ts");
    return await runBench(args);
  },
};
