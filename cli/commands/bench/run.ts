// runBench(): from the arguments to a load, and from its result to the report.
import { fixedLength } from "../../../framing.ts";
import { addressText, parseAddress } from "../../command/address.ts";
import type { Arguments } from "../../command/arguments.ts";
import { UsageError } from "../../command/usage.ts";
import { framingOf } from "../../flags/framing.ts";
import { clientTls } from "../../flags/tls.ts";
import { StopSignals } from "../../process/stop.ts";
import { failsWithTlsHint } from "../../output/tls_hint.ts";
import { count, print, Progress, say } from "../../output/talk.ts";
import { type LoadOptions, runLoad } from "./load.ts";
import { hasFailed, loadReport, type LoadSettings, loadText } from "./report.ts";
import { Requests } from "./requests.ts";
import { jsonText } from "../../output/json_text.ts";

/** Defaults and bounds of `parley bench`. */
const BENCH_DEFAULTS = {
  connections: { byDefault: 10, least: 1, most: 65_536 },
  size: { byDefault: 64, least: 1, most: 2 ** 30 },
  inFlight: { byDefault: 1, least: 1, most: 65_536 },
  /** A fixed rate must not wait for answers: only a server that is far behind holds it up. */
  openInFlight: { byDefault: 1024, least: 1, most: 65_536 },
  rate: { byDefault: 0, least: 1, most: 100_000_000 },
  messages: { byDefault: Infinity, least: 1 },
  durationMs: { byDefault: 10_000, least: 1, most: 24 * 3600_000 },
  warmUpMs: { byDefault: 1000, least: 0, most: 3600_000 },
  timeoutMs: { byDefault: 10_000, least: 1, most: 3600_000 },
} as const;

/** Bytes that may be on their way, over all connections: 1 GiB. */
const MOST_IN_FLIGHT_BYTES = 2 ** 30;

/** Runs a load; returns the exit code. */
export async function runBench(args: Arguments): Promise<number> {
  const json = args.has("json");
  using stop = new StopSignals();
  const { settings, load } = await planOf(args);
  const totalMs = load.warmUpMs + load.durationMs;
  let [lastMs, lastAnswered, perSecond] = [0, 0, 0];
  using progress = new Progress(totalMs, (doneMs) => {
    const phase = doneMs < load.warmUpMs ? "warming up" : `${count(perSecond)} messages/s`;
    return `${Math.floor(Math.min(doneMs, totalMs) / 1000)} of ${
      Math.ceil(totalMs / 1000)
    } s, ${phase}`;
  });
  if (!json) say(introduction(settings, load));
  const running = runLoad({
    ...load,
    signal: stop.signal,
    onProgress: (doneMs, { answered }) => {
      if (doneMs - lastMs >= 1000) {
        perSecond = Math.round((answered - lastAnswered) * 1000 / (doneMs - lastMs));
        [lastMs, lastAnswered] = [doneMs, answered];
      }
      progress.update(doneMs);
    },
  });
  const result = await failsWithTlsHint(running, {
    address: parseAddress(settings.address),
    tls: load.target.tls,
  });
  progress[Symbol.dispose]();
  const report = loadReport(settings, result);
  print(json ? jsonText(report, 2) : loadText(report, result));
  return hasFailed(report) ? 1 : 0;
}

interface BenchPlan {
  readonly settings: LoadSettings;
  readonly load: Omit<LoadOptions, "signal" | "onProgress">;
}

async function planOf(args: Arguments): Promise<BenchPlan> {
  const target = parseAddress(args.operand("The address of a server"));
  const { name: framingName, framing, maxMessageBytes } = framingOf(args);
  const tls = clientTls(args);
  const rate = args.text("rate") === undefined ? null : args.count("rate", BENCH_DEFAULTS.rate);
  const connections = args.count("connections", BENCH_DEFAULTS.connections);
  const { inFlight: closed, openInFlight: open } = BENCH_DEFAULTS;
  const inFlight = args.count("in-flight", rate === null ? closed : open);
  const verify = !args.has("no-verify");
  const content = await contentOf(args, framingName);
  const limits = { maxMessageBytes };
  // Without a framing, answers are told apart by their size: that of the request.
  const frames = framingName === "raw"
    ? fixedLength(typeof content === "number" ? content : content.length)
    : framing;
  const encoder = frames.encoder(limits);
  const requests = typeof content === "number"
    ? Requests.ofSize(content, encoder)
    : new Requests([content], encoder);
  if (connections * inFlight * requests.frameBytes > MOST_IN_FLIGHT_BYTES) {
    throw new UsageError(
      "More than 1 GiB would be in flight: lower --connections, --in-flight or --size",
    );
  }
  return {
    settings: {
      address: addressText(target),
      framing: framingName,
      tls: tls !== undefined,
      connections,
      messageBytes: requests.message(0).length,
      inFlight,
      rate,
      verified: verify,
    },
    load: {
      target: { ...target, ...(tls === undefined ? {} : { tls }) },
      requests,
      decoder: () => frames.decoder(limits),
      connections,
      inFlight,
      perSecond: rate,
      verify,
      warmUpMs: args.ms("warm-up", BENCH_DEFAULTS.warmUpMs),
      durationMs: args.ms("duration", BENCH_DEFAULTS.durationMs),
      maxRequests: args.count("messages", BENCH_DEFAULTS.messages),
      timeoutMs: args.ms("timeout", BENCH_DEFAULTS.timeoutMs),
    },
  };
}

/** What each request holds: the content of a file, or a number of characters. */
async function contentOf(args: Arguments, framingName: string): Promise<Uint8Array | number> {
  const path = args.text("message-file");
  const [, fixed] = /^fixed:(\d+)$/.exec(framingName) ?? [];
  if (path === undefined) {
    const { byDefault, ...range } = BENCH_DEFAULTS.size;
    return args.bytes("size", {
      ...range,
      byDefault: fixed === undefined ? byDefault : Number(fixed),
    });
  }
  if (args.text("size") !== undefined) {
    throw new UsageError("--message-file and --size exclude each other");
  }
  const content = await Deno.readFile(path);
  if (content.length === 0) throw new UsageError(`The file "${path}" is empty`);
  return content;
}

function introduction(settings: LoadSettings, { warmUpMs, durationMs }: BenchPlan["load"]): string {
  const { connections, messageBytes, inFlight, rate, address, tls } = settings;
  const how = rate === null
    ? `${count(inFlight)} in flight on each`
    : `${count(rate)} messages/s by the clock, up to ${count(inFlight)} unanswered on each`;
  const times = `${durationMs / 1000} s after ${warmUpMs / 1000} s of warm-up`;
  const where = `${address}${tls ? " over TLS" : ""}`;
  return `${where}: ${count(connections)} connections, ${
    count(messageBytes)
  } bytes, ${times}\n${how}`;
}
