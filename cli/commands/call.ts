// parley call: makes a typed call to a program that has joined a hub, or to the server itself.
import { unlessAborted } from "../../async/deadline.ts";
import { ParleyError } from "../../errors.ts";
import type { Arguments } from "../command/arguments.ts";
import type { Command } from "../command/command.ts";
import { asTyped } from "../command/usage.ts";
import { logFlags } from "../flags/logging.ts";
import { addHint } from "../output/hints.ts";
import { StopSignals } from "../process/stop.ts";
import { Answers } from "./call/answers.ts";
import { inputOf, makeCall, type MakeCallOptions } from "./call/make_call.ts";
import { CALL_FLAGS, type CallRequest, limitOf, readRequest } from "./call/request.ts";
import { HUB_JOIN_FLAGS, type HubLink, joinHub } from "./hub_link.ts";

/** What is typed for the server itself, in place of the name of a peer. */
const SERVER = ".";

/** Longest attempt to join, in ms. */
const JOIN_MS = 10_000;
/** Longest wait for the end of a session whose work is done, in ms. */
const CLOSE_MS = 2000;

/** `parley call` */
export const callCommand: Command = {
  name: "call",
  summary: "Make a typed call to a program at a hub",
  about:
    `Joins the hub at HUB, or a server of mount(), and calls NAME of the program that has joined it as PEER, with the
    input JSON; "${SERVER}" for PEER calls the server itself. NAME is that of the call, behind the name of its contract and a dot
    where that has one: clock.add. JSON is read from standard input when it is "-"; a call without input needs none. The
    output is printed as a line of JSON. A negative number stands behind "--".

    With --feed the call has many answers, a line each; --collect and --talk read many inputs, a line each, from
    standard input. Ctrl-C ends a call with many answers in order.

    Exit code 1 when the call fails: standard error has the text and the code of the error, and the data that the
    handler added. The hub must allow it: the rule is IDENTITY:PEER:NAME.`,
  operands: "HUB PEER NAME [JSON]",
  flags: [...CALL_FLAGS, ...HUB_JOIN_FLAGS, ...logFlags("warn")],
  examples: [
    `parley call 7000 office clock.add '{"a": 1, "b": 2}' --identity home`,
    "parley call hub.example:7000 office clock.ticks --feed --identity home --tls",
    `seq 100 | parley call 7000 ${SERVER} sum --collect --identity home`,
  ],
  run: runCall,
};

async function runCall(args: Arguments): Promise<number> {
  const [hub, peer, name, json] = args.someOperands("HUB", "PEER", "NAME", "[JSON]");
  const request = readRequest(args, name, json);
  using stop = new StopSignals();
  using limit = limitOf(args, request);
  const answers = new Answers(request.output);
  try {
    const signal = AbortSignal.any([stop.signal, limit.signal]);
    const input = await inputOf(request, signal);
    const timeoutMs = Math.max(1, Math.min(JOIN_MS, Math.ceil(limit.leftMs)));
    const link = await joinHub(args, hub, { once: true, timeoutMs });
    using _lines = link.lines;
    await callOver(link, { peer, request, signal, options: { input, answers, stop, limit } });
  } catch (error) {
    explain(error, { peer, rule: `${args.text("identity")}:${peer}:${name}` });
    await answers.failed(error);
    throw error;
  }
  return 0;
}

/** What is called, and how. */
interface Plan {
  readonly peer: string;
  readonly request: CallRequest;
  readonly signal: AbortSignal;
  readonly options: MakeCallOptions;
}

async function callOver(
  { wire, failed }: HubLink,
  { peer, request, signal, options }: Plan,
): Promise<void> {
  try {
    const via = peer === SERVER ? wire : asTyped(() => wire.peer(peer));
    // What `failed` rejects with says what to try.
    await unlessAborted(wire.ready.catch(() => failed), signal);
    await makeCall(via, request, options);
    await options.answers.flush();
    await wire.close({ timeoutMs: CLOSE_MS });
  } catch (error) {
    wire.abort();
    throw error;
  }
}

/** Adds to an error what to do about it at a hub. */
function explain(
  error: unknown,
  { peer, rule }: { readonly peer: string; readonly rule: string },
): void {
  if (!(error instanceof ParleyError)) return;
  if (error.code === "ERR_FORBIDDEN" && peer !== SERVER) {
    addHint(error, `the hub must allow it: --allow '${rule}'`);
  }
  if (error.code === "ERR_NO_PEER") {
    addHint(
      error,
      `no program has joined the hub as "${peer}": is the name right, and does it run?`,
    );
  }
}
