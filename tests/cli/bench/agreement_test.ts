// Whether `parley bench` agrees with a load loop that knows nothing of it.
import { assert } from "@std/assert";
import { runLoad } from "../../../cli/bench/load.ts";
import { Requests } from "../../../cli/bench/requests.ts";
import { lengthPrefixed } from "../../../framing.ts";
import { Program } from "../../support/program.ts";
import { rawLoad } from "../../support/raw_load.ts";

/** Pairs after which it is first decided, and the most there are: other programs on the machine disturb some. */
const [FEWEST_PAIRS, MOST_PAIRS] = [5, 75];

const phases = { warmUpMs: 60, durationMs: 150 };

Deno.test("runLoad() agrees within 15 % with a load loop that shares no code with it, on the same server", async () => {
  await using server = new Program("examples/echo_server.ts", ["0"]);
  const port = await server.port();
  const limits = { maxMessageBytes: 2 ** 20 };
  const framing = lengthPrefixed();
  const requests = Requests.ofSize(60, framing.encoder(limits));
  const load = { connections: 8, inFlight: 4, ...phases };

  const ours = async () => {
    const { tally, measuredMs } = await runLoad({
      ...load,
      target: { port },
      requests,
      decoder: () => framing.decoder(limits),
      perSecond: null,
      maxRequests: Infinity,
      timeoutMs: 10_000,
      verify: true,
      signal: new AbortController().signal,
      onProgress: () => {},
    });
    assert(tally.mismatches === 0 && tally.unanswered === 0 && tally.errors.size === 0);
    return tally.answersInTime * 1000 / measuredMs;
  };
  const raw = () => rawLoad({ ...load, port, frame: requests.batch(0, 1).bytes });

  const ratios: number[] = [];
  let ratio = 0;
  while (ratios.length < MOST_PAIRS) {
    const [first, second] = ratios.length % 2 === 0
      ? [await ours(), await raw()]
      : [await raw(), await ours()];
    ratios.push(ratios.length % 2 === 0 ? first / second : second / first);
    ratio = ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)]!;
    if (ratios.length >= FEWEST_PAIRS && Math.abs(ratio - 1) < 0.15) return;
  }
  throw new Error(`The median of ${ratios.map((one) => one.toFixed(2)).join(", ")} is ${ratio.toFixed(2)}`);
});
