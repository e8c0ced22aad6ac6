// A server with typed calls: answers the contract of calls_contract.ts for every client that joins.
//
//   TOKEN=secret deno run --allow-net --allow-env=TOKEN examples/calls_server.ts 7000
//
// Then start calls_client.ts, from anywhere. Ctrl-C ends it.
import { answer, CallError } from "@parley/parley/calls";
import { mount, sameToken } from "@parley/parley/wire";
import { setInterval } from "node:timers/promises";
import { clock } from "./calls_contract.ts";

const MAX = 1_000_000;
const DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const secret = Deno.env.get("TOKEN") ?? "secret";

const wire = mount({
  port: Number(Deno.args[0] ?? 7000),
  authorize: ({ token }) => sameToken(token, secret),
});

answer(wire, clock, {
  now: () => new Date().toISOString(),

  add({ a, b }, { peer }) {
    console.log(`${peer} adds ${a} and ${b}`);
    if (a + b > MAX) throw new CallError("ERR_TOO_BIG", "The sum is too big", { max: MAX });
    return a + b;
  },

  // The loop stops when the caller leaves, and waits while the caller does not read.
  async *ticks({ everyMs }, { peer, signal }) {
    try {
      for await (const _ of setInterval(everyMs, undefined, { signal })) {
        yield new Date().toISOString();
      }
    } finally {
      console.log(`${peer} wants no more ticks`);
    }
  },

  async average(numbers) {
    let sum = 0;
    let count = 0;
    for await (const number of numbers) {
      sum += number;
      count++;
    }
    return count === 0 ? 0 : sum / count;
  },

  async *spell(numbers) {
    for await (const number of numbers) yield DIGITS[number] ?? `${number}`;
  },
});

await wire.ready;
console.log("Listening on", wire.addr);
