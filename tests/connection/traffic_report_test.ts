// TrafficReport: what moved since the last report, and an onTraffic that fails.
import { assertEquals } from "@std/assert";
import { TrafficReport } from "../../connection/traffic_report.ts";
import type { Traffic } from "../../connection/types.ts";

const totals = (count: number): Traffic => ({
  bytesIn: 10 * count,
  bytesOut: 20 * count,
  messagesIn: count,
  messagesOut: 2 * count,
});

Deno.test("TrafficReport reports what moved since the last time", () => {
  const reported: Traffic[] = [];
  const report = new TrafficReport((traffic) => void reported.push(traffic));
  for (const count of [1, 1, 3]) report.report(totals(count));
  assertEquals(reported, [totals(1), totals(0), totals(2)]);
});

const fault = new Error("A fault of the application");
const failures: readonly (readonly [how: string, onTraffic: () => void])[] = [
  ["throws", () => {
    throw fault;
  }],
  ["rejects", () => Promise.reject(fault)],
];
for (const [how, onTraffic] of failures) {
  Deno.test(`TrafficReport goes on when onTraffic ${how}, and writes ten failures to the console`, async () => {
    const { error } = console;
    let lines = 0;
    console.error = (_text, given) => void (lines += given === fault ? 1 : 0);
    try {
      const report = new TrafficReport(onTraffic);
      for (let count = 1; count <= 25; count++) report.report(totals(count));
      await Promise.resolve().then(() => {}).then(() => {});
    } finally {
      console.error = error;
    }
    assertEquals(lines, 10);
  });
}
