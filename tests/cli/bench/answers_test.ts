// Tests of how `parley bench` compares answers with what was sent.
import { assertEquals } from "@std/assert";
import { Answers } from "../../../cli/commands/bench/answers.ts";
import { Requests } from "../../../cli/commands/bench/requests.ts";
import { Tally } from "../../../cli/commands/bench/tally.ts";
import {
  chunked,
  delimited,
  type Framing,
  lengthPrefixed,
  varintPrefixed,
} from "../../../framing.ts";
import { concat, cutEvery, text } from "../../support/bytes.ts";

const limits = { maxMessageBytes: 2 ** 20 };
const SIZE = 1000;

function started(framing: Framing = delimited("\n"), verify = true) {
  const requests = Requests.ofSize(SIZE, framing.encoder(limits));
  const tally = new Tally();
  return {
    requests,
    tally,
    answers: new Answers(requests, framing.decoder(limits), verify, tally),
  };
}

/** Frames of the requests from `from` on. */
function frames(requests: Requests, from: number, count: number): Uint8Array {
  const batches: Uint8Array[] = [];
  for (let number = from; number < from + count;) {
    const batch = requests.batch(number, from + count - number);
    batches.push(batch.bytes);
    number += batch.count;
  }
  return concat(batches);
}

Deno.test("Answers counts echoes however the bytes are cut, all around the circle of requests", () => {
  for (const framing of [delimited("\n"), lengthPrefixed(), varintPrefixed(), chunked()]) {
    for (const size of [1, 999, 1001, 65_536]) {
      const { requests, answers, tally } = started(framing);
      const count = size === 1 ? 3 : 2500; // the circle has 1024
      for (const piece of cutEvery(frames(requests, 0, count), size)) answers.take(piece);
      assertEquals([answers.count, answers.bytes, tally.mismatches], [count, count * SIZE, 0]);
    }
  }
});

Deno.test("Answers finds an answer that is changed, lost, given twice or swapped, wherever the bytes are cut", () => {
  const cases: [string, (requests: Requests) => Uint8Array, number][] = [
    ["changed", (requests) => {
      const bytes = frames(requests, 0, 5).slice();
      bytes[2500]! ^= 1;
      return bytes;
    }, 1],
    ["lost", (requests) => concat([frames(requests, 0, 2), frames(requests, 3, 2)]), 2],
    ["twice", (requests) => concat([frames(requests, 0, 2), frames(requests, 1, 3)]), 3],
    [
      "swapped",
      (requests) =>
        concat([
          frames(requests, 0, 1),
          frames(requests, 2, 1),
          frames(requests, 1, 1),
          frames(requests, 3, 1),
        ]),
      2,
    ],
  ];
  for (const [what, make, mismatches] of cases) {
    for (const size of [7, 1001, 65_536]) {
      const { requests, answers, tally } = started();
      for (const piece of cutEvery(make(requests), size)) answers.take(piece);
      assertEquals(tally.mismatches, mismatches, `${what}, in pieces of ${size}`);
    }
  }
});

Deno.test("Answers compares nothing when the server may answer as it likes", () => {
  const { answers, tally } = started(delimited("\n"), false);
  answers.take(new TextEncoder().encode("yes\nno\nmay"));
  answers.take(new TextEncoder().encode("be\n"));
  assertEquals([answers.count, answers.bytes, tally.mismatches], [3, 10, 0]);
});

Deno.test("Requests are all different, and none holds a line feed", () => {
  const requests = Requests.ofSize(16, delimited("\n").encoder(limits));
  const all = Array.from({ length: 1024 }, (_, number) => text(requests.message(number)));
  assertEquals(new Set(all).size, 1024);
  for (const message of all) assertEquals(/^[\w-]{16}$/.test(message), true, message);
});
