// Tests of ErrorChannel: what reaches onError and the log, in which order, and how often.
import { assertEquals } from "@std/assert";
import { ClosedError } from "../../errors.ts";
import { ErrorChannel, type ErrorLine, type HookContext, REPORT } from "../../log/error_channel.ts";
import type { Logger } from "../../log/logger.ts";
import type { LogDecision } from "../../log/text.ts";

type Context = { readonly phase: "read" | "flood" };

/** A channel that notes what it keeps and logs. */
class TestChannel extends ErrorChannel<Context> {
  readonly kept: [string, number][] = [];
  #floods = 0;

  constructor(onError: ((error: unknown, context: Context) => void) | undefined, logger: Logger) {
    super({ onError, logger });
  }

  report(error: unknown, context: Context, leftOut?: number): void {
    this.deliver(error, context, leftOut);
  }

  protected override keep(_error: unknown, { phase }: Context, count: number): void {
    this.kept.push([phase, count]);
  }

  protected override limit(_error: unknown, { phase }: Context): LogDecision {
    if (phase !== "flood") return REPORT;
    return this.#floods++ % 3 === 0
      ? { write: true, leftOut: this.#floods === 1 ? 0 : 2 }
      : { write: false };
  }

  protected override lineOf(_error: unknown, { phase }: Context | HookContext): ErrorLine {
    return {
      level: phase === "hook" ? "error" : "info",
      message: `In ${phase}`,
      fields: { phase },
    };
  }
}

/** A channel, and the lines of its log. */
function channelOf(onError?: (error: unknown, context: Context) => void) {
  const lines: string[] = [];
  const write = (level: string) => (message: string, fields?: Record<string, unknown>) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const logger = {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
  return { channel: new TestChannel(onError, logger), lines };
}

Deno.test("ErrorChannel.deliver() logs where there is no onError, escaped", () => {
  const { channel, lines } = channelOf();
  channel.report(new Error("a\nb"), { phase: "read" });
  assertEquals(lines, ['info In read: Error: a\\nb {"phase":"read"}']);
  assertEquals(channel.kept, [["read", 1]]);
});

Deno.test("ErrorChannel.deliver() calls onError in place of the log", () => {
  const heard: unknown[] = [];
  const { channel, lines } = channelOf((error, context) => heard.push([error, context]));
  const error = new Error("lost");
  channel.report(error, { phase: "read" });
  assertEquals([heard, lines], [[[error, { phase: "read" }]], []]);
});

Deno.test("ErrorChannel.deliver() logs what onError throws, at once or later, as that of a hook", async () => {
  for (const isLate of [false, true]) {
    const { channel, lines } = channelOf(() => {
      const thrown = new TypeError("no");
      if (!isLate) throw thrown;
      return Promise.reject(thrown) as unknown as void;
    });
    channel.report(new Error("lost"), { phase: "read" });
    for (let hop = 0; hop < 10; hop++) await null;
    assertEquals(lines, ['error In hook: TypeError: no {"phase":"hook"}']);
  }
});

Deno.test("ErrorChannel.deliver() logs ten lines of a kind, told apart by phase and code", () => {
  const { channel, lines } = channelOf();
  for (let i = 0; i < 11; i++) channel.report(new Error("lost"), { phase: "read" });
  assertEquals([lines.length, channel.kept.length], [10, 11]);
  channel.report(new ClosedError("ERR_RESET", "The peer vanished"), { phase: "read" });
  assertEquals(lines.length, 11);
});

Deno.test("ErrorChannel keeps what its limit holds back, and says how many were left out", () => {
  const heard: unknown[] = [];
  const { channel: loud } = channelOf((_error, { phase }) => heard.push(phase));
  const { channel, lines } = channelOf();
  for (let i = 0; i < 4; i++) {
    loud.report(new Error("lost"), { phase: "flood" });
    channel.report(new Error("lost"), { phase: "flood" });
  }
  assertEquals([heard.length, loud.kept.length], [2, 4]);
  assertEquals(lines, [
    'info In flood: Error: lost {"phase":"flood"}',
    'info In flood: Error: lost (2 more like it were left out) {"phase":"flood"}',
  ]);
});

Deno.test("ErrorChannel.deliver() keeps and logs an error that stands for several", () => {
  const { channel, lines } = channelOf();
  channel.report(new Error("lost"), { phase: "read" }, 3);
  assertEquals(channel.kept, [["read", 4]]);
  assertEquals(lines, [
    'info In read: Error: lost (3 more like it were left out) {"phase":"read"}',
  ]);
});
