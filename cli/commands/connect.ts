// parley connect: talks to a server of messages, from a terminal or a pipe.
import { connect, type Connection } from "../../client.ts";
import { MAX_TIMER_MS } from "../../options/check.ts";
import { ADDRESS_FORMS, addressText, parseAddress } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import type { Command } from "../command/command.ts";
import { UsageError } from "../command/usage.ts";
import { exchange, type ExchangeResult } from "./connect/exchange.ts";
import { LineEditor } from "./connect/line_editor.ts";
import { type Local, openPipes } from "./connect/local.ts";
import { FRAMING_FLAGS, FRAMING_NAMES, framingOf, pipeFramingOf } from "../flags/framing.ts";
import { CLIENT_TLS_FLAGS, clientTls } from "../flags/tls.ts";
import { StopSignals } from "../process/stop.ts";
import { failsWithTlsHint, oneSidedTlsHint } from "../output/tls_hint.ts";
import { count, say } from "../output/talk.ts";

/** `parley connect` */
export const connectCommand: Command = {
  name: "connect",
  summary: "Talk to a server: from a terminal, or through a pipe",
  about:
    `Connects to ADDRESS, which is ${ADDRESS_FORMS}. Each line of standard input is sent as a message, and
    each received message is a line of standard output. At the end of input the command ends its direction and waits
    for the answers of the server; it fails when none comes at all. A slow reader or writer slows the other side down;
    nothing piles up.

    At a terminal, lines can be edited and recalled, Ctrl-D ends the input and Ctrl-C leaves; control characters are
    escaped, and messages that are no text are shown in hexadecimal.`,
  operands: "ADDRESS",
  flags: [
    ...FRAMING_FLAGS,
    {
      name: "in-framing",
      value: "NAME",
      about: "How standard input is made of messages (default: lines; raw with --framing raw)",
      choices: FRAMING_NAMES,
    },
    {
      name: "out-framing",
      value: "NAME",
      about: "How messages are put on standard output (default: lines; raw with --framing raw)",
      choices: FRAMING_NAMES,
    },
    { name: "hex", about: "Show every message in hexadecimal" },
    ...CLIENT_TLS_FLAGS,
    {
      name: "count",
      value: "COUNT",
      about: "End after so many received messages (default: no end)",
    },
    {
      name: "wait",
      value: "TIME",
      about: "After the end of input, wait so long for replies (default: until the server ends)",
    },
    { name: "no-replies", about: "The server answers nothing: do not fail without a message" },
    {
      name: "keep-open",
      about: "Keep our direction open when input has ended; needs --wait or --count",
    },
    { name: "connect-timeout", value: "TIME", about: "Longest time to connect (default: 10s)" },
    {
      name: "idle-timeout",
      value: "TIME",
      about: "Fail after so long without traffic; 0s is never (default: 0s)",
    },
  ],
  examples: [
    "parley connect localhost:5555",
    "parley connect localhost:5555 --ca ca.pem < questions.txt > answers.txt",
    "echo ping | parley connect unix:/run/app.sock --framing u32 --count 1",
  ],
  run: runConnect,
};

async function runConnect(args: Arguments): Promise<number> {
  const address = parseAddress(args.operand("ADDRESS"));
  const framing = framingOf(args);
  const pipeFraming = framing.name === "raw" ? "raw" : "lines";
  const input = pipeFramingOf(args, "in-framing", pipeFraming);
  const output = pipeFramingOf(args, "out-framing", pipeFraming);
  const wanted = {
    count: args.optionalCount("count", { least: 1, most: 1e12 }),
    waitMs: args.text("wait") === undefined
      ? undefined
      : args.ms("wait", { byDefault: 0, most: MAX_TIMER_MS }),
    keepOpen: args.has("keep-open"),
  };
  if (wanted.keepOpen && wanted.count === undefined && wanted.waitMs === undefined) {
    throw new UsageError('Option "--keep-open" needs --wait or --count: else there is no end');
  }
  if (args.has("no-replies") && wanted.count !== undefined) {
    throw new UsageError('Option "--no-replies" excludes --count: no message is waited for');
  }
  const idleTimeoutMs = args.ms("idle-timeout", { byDefault: 0, most: MAX_TIMER_MS });
  const timeoutMs = args.ms("connect-timeout", { byDefault: 10_000, least: 1, most: MAX_TIMER_MS });
  const tls = clientTls(args);
  let leave = () => {};
  using stop = new StopSignals({ beforeExit: () => leave() });
  const situation = { address, tls };
  const open = () =>
    connect({
      ...address,
      framing: framing.framing,
      maxMessageBytes: framing.maxMessageBytes,
      tls,
      timeoutMs,
      idleTimeoutMs,
      // A person, or the other end of a pipe, may take as long as it likes.
      messageTimeoutMs: idleTimeoutMs,
      writeTimeoutMs: idleTimeoutMs === 0 ? MAX_TIMER_MS : idleTimeoutMs,
      signal: stop.signal,
    });
  const connection = await failsWithTlsHint(open(), situation);
  const show = { hex: args.has("hex"), keepLines: framing.name === "raw" };
  const interactive = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  using editor = interactive ? new LineEditor(show) : null;
  // Not before the editor has the terminal: it would not know of what is typed until then.
  if (interactive) tellConnected(connection);
  editor?.begin();
  const local: Local = editor ??
    openPipes({ input, output, maxMessageBytes: framing.maxMessageBytes, show });
  leave = () => editor?.[Symbol.dispose]();
  const exchanging = exchange(connection, local, { ...wanted, stop: stop.signal });
  const result = await failsWithTlsHint(exchanging, situation);
  editor?.[Symbol.dispose]();
  // Who waits for what the server still sends, wants something; at a terminal people see what comes.
  const expectsReplies = !interactive && !args.has("no-replies") && wanted.waitMs !== 0;
  const code = tellEnd(result, { count: wanted.count, expectsReplies, interactive });
  // A server with TLS may hang up without a word that one could make out.
  const hint = code !== 0 && result.received === 0 ? await oneSidedTlsHint(situation) : null;
  if (hint !== null) say(`Hint: ${hint}`);
  return code;
}

function tellConnected({ remoteAddr, tls }: Connection): void {
  const secured = tls === undefined ? "" : ` by ${tls.protocol ?? "TLS"}`;
  say(`connected to ${addressText(remoteAddr)}${secured}; Ctrl-D ends the input, Ctrl-C leaves`);
}

/** Says what people want to know of the end; returns the exit code. */
function tellEnd(
  { end, sent, received, unsentBytes }: ExchangeResult,
  wanted: {
    readonly count: number | undefined;
    readonly expectsReplies: boolean;
    readonly interactive: boolean;
  },
): number {
  if (end === "left" || end === "unread") return 0;
  if (end === "interrupted") {
    say("parley connect: Interrupted");
    return 1;
  }
  const tally = `sent ${count(sent)}, received ${count(received)}`;
  if (wanted.count !== undefined && received < wanted.count) {
    say(
      `parley connect: Only ${count(received)} of ${count(wanted.count)} messages came${
        received === 0 ? `: ${tally}` : ""
      }`,
    );
    return 1;
  }
  if (unsentBytes > 0) {
    say(
      `parley connect: The server ended before it had taken ${
        count(unsentBytes)
      } bytes of input: ${tally}`,
    );
    return 1;
  }
  if (wanted.expectsReplies && sent > 0 && received === 0) {
    say(`parley connect: No answer came: ${tally}. ${noAnswerHint(end)}`);
    return 1;
  }
  if (wanted.interactive && end === "ended") say("the server ended the connection");
  return 0;
}

/** What to do about a server that answered nothing. */
function noAnswerHint(end: ExchangeResult["end"]): string {
  const why = end === "waited"
    ? "Give it longer with --wait"
    : 'A proxy may have ended the connection at the end of input (nginx needs "proxy_half_close on"): try --keep-open ' +
      "with --wait or --count";
  return `${why}. For a server that answers nothing, give --no-replies`;
}
