// openMetrics(): text that real parsers take, with the numbers of the snapshots.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { serve } from "@parley/parley";
import { Pool } from "@parley/parley/pool";
import { openMetrics, type Stats } from "@parley/parley/stats";
import { DurationHistogram, quantileMs } from "../../../stats/data/duration_histogram.ts";
import { nameByKind } from "../../../stats/export/openmetrics.ts";
import { askOnce, backendOf, poolOf } from "../../pool/backends.ts";
import { type Family, parseOpenMetrics } from "../../support/openmetrics_parser.ts";
import { started } from "../../support/peers/servers.ts";

/** The value of the one sample with these labels. */
function valueOf(family: Family | undefined, labels: Record<string, string>): number | undefined {
  const fits = (own: Record<string, string>) =>
    Object.entries(labels).every(([name, value]) => own[name] === value);
  return family?.samples.find((sample) => fits(sample.labels))?.value;
}

Deno.test("openMetrics() writes each family once, with its type, its samples and the end", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend]);
  await askOnce(pool, "?");
  const name = 'my "pool"\n\\';
  const families = parseOpenMetrics(openMetrics({ [name]: pool.stats() }));
  assertEquals(valueOf(families.get("parley_pool_acquires"), { name, kind: "pool" }), 1);
  assertEquals(valueOf(families.get("parley_pool_backend_leases"), { name, backend: "a" }), 1);
  assertEquals(valueOf(families.get("parley_connect_attempts"), { name, backend: "a" }), 1);
  assertEquals(families.get("parley_pool_connections")?.samples.length, 4);
  assertEquals(families.get("parley_state")?.type, "stateset");
});

Deno.test("openMetrics() of a pool without backends is well-formed", async () => {
  await using pool = new Pool({ backends: [] });
  const families = parseOpenMetrics(openMetrics(pool.stats()));
  assertEquals(valueOf(families.get("parley_pool_waiting"), { name: "pool" }), 0);
});

Deno.test("openMetrics() puts several snapshots into one set of families, each under its name", async () => {
  await using one = await started();
  await using two = await started();
  const conn = await two.connect();
  await conn.send("a");
  await conn.receive();
  const families = parseOpenMetrics(openMetrics([one.server.stats(), two.server.stats()]));
  const messages = families.get("parley_received_messages");
  assertEquals(messages?.unit, undefined);
  assertEquals(valueOf(messages, { name: "server" }), 0);
  assertEquals(valueOf(messages, { name: "server-2" }), 1);
  assertEquals(families.get("parley_received_bytes")?.unit, "bytes");
  assertEquals(valueOf(families.get("parley_received_bytes"), { name: "server-2" }), 2);
  await conn.close();
});

Deno.test("openMetrics() tells refusals by reason, so that their sum counts each once", async () => {
  await using server = serve({ maxConnections: 1 }, () => {});
  const stats = structuredClone(server.stats()) as { -readonly [K in keyof Stats]: Stats[K] } & {
    overall: { connectionsRefused: number };
    refusedBy: Record<string, number>;
  };
  stats.refusedBy["too_many_connections"] = 3;
  stats.refusedBy["penalized"] = 4;
  stats.overall.connectionsRefused = 7;
  const refused = parseOpenMetrics(openMetrics(stats as Stats)).get("parley_connections_refused");
  assertEquals(refused?.samples.reduce((sum, { value }) => sum + value, 0), 7);
  assertEquals(valueOf(refused, { reason: "penalized" }), 4);
});

Deno.test("openMetrics() tells handshakes as a histogram in seconds", async () => {
  await using test = await started();
  const conn = await test.connect();
  await conn.send("a");
  await conn.receive();
  const histogram = parseOpenMetrics(openMetrics(test.server.stats())).get(
    "parley_handshake_duration_seconds",
  );
  assertEquals(histogram?.type, "histogram");
  assertEquals(valueOf(histogram, { le: "+Inf" }), 1);
  assertEquals(valueOf(histogram, { le: "10.0" }), 1);
  assert(histogram!.samples.some(({ suffix, value }) => suffix === "_sum" && value < 10));
  await conn.close();
});

Deno.test("openMetrics() writes the older text format on demand", async () => {
  await using server = serve(() => {});
  const text = openMetrics(server.stats(), { format: "prometheus" });
  assertMatch(text, /^# TYPE parley_received_bytes_total counter$/m);
  assertMatch(text, /^# HELP parley_received_bytes_total \S.+$/m);
  assert(!text.includes("# UNIT") && !text.includes("stateset"));
});

Deno.test("nameByKind() never gives a name twice", () => {
  const kinds = ["server", "client", "server", "server"];
  const named = nameByKind(kinds.map((kind, index) => ({ kind, index })), ({ kind }) => kind);
  assertEquals(Object.keys(named), ["server", "client", "server-2", "server-3"]);
  assertEquals(named["server-3"]?.index, 3);
});

Deno.test("DurationHistogram counts at, below and above each bound", () => {
  const histogram = new DurationHistogram();
  const { boundsMs } = histogram.stats();
  for (const bound of boundsMs) histogram.add(bound);
  assertEquals(histogram.stats().counts, [...boundsMs.map(() => 1), 0]);
  histogram.add(boundsMs.at(-1)! + 1);
  histogram.add(0);
  const { count, counts, sumMs } = histogram.stats();
  assertEquals([count, counts[0], counts.at(-1)], [boundsMs.length + 2, 2, 1]);
  assertEquals(sumMs, boundsMs.reduce((a, b) => a + b) + boundsMs.at(-1)! + 1);
});

Deno.test("quantileMs() lies in the bucket of the true quantile, and of what is new alone", () => {
  const histogram = new DurationHistogram();
  for (let ms = 1; ms <= 100; ms++) histogram.add(ms);
  const p95 = quantileMs(histogram.stats(), 0.95)!;
  assert(p95 > 50 && p95 <= 100, `${p95}`);
  assertEquals(quantileMs(histogram.stats(), 1), 100);
  const before = histogram.stats();
  assertEquals(quantileMs(before, 0.5, before), null);
  for (let i = 0; i < 10; i++) histogram.add(2000);
  const recent = quantileMs(histogram.stats(), 0.5, before)!;
  assert(recent > 1000 && recent <= 2500, `${recent}`);
  histogram.add(1e9);
  assertEquals(quantileMs(histogram.stats(), 1), 10_000);
});
