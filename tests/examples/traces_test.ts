// The example of traces under Deno's own exporter: one trace through two processes, and metrics of both.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Program } from "../support/programs/program.ts";

/** Deno's exporter, to standard error. */
const OTEL = {
  OTEL_DENO: "true",
  OTEL_EXPORTER_OTLP_PROTOCOL: "console",
  OTEL_DENO_CONSOLE: "ignore",
  OTEL_METRIC_EXPORT_INTERVAL: "100",
};

/** A span as the console exporter prints it. */
interface Span {
  readonly trace: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly kind: string;
}

function spanOf(output: string, name: string): Span {
  const pattern = new RegExp(
    `^SPAN ${name} \\[(\\w+)/(\\w+)\\] (\\w+) .*\\n(?: {2}parent: (\\w+)\\n)?`,
    "m",
  );
  const [whole, trace = "", id = "", kind = "", parent] = pattern.exec(output) ?? [];
  assert(whole !== undefined, `There is no span "${name}" in:\n${output}`);
  return { trace, id, kind, parent };
}

Deno.test("traces shows one trace through a stream and a query into another process, and metrics of both", async () => {
  const name = `traces-${Deno.pid}`;
  await using server = new Program("examples/traces.ts", ["server", "0", name], {
    env: OTEL,
    keepStdin: true,
  });
  const port = await server.port();
  await using client = new Program("examples/traces.ts", ["client", `${port}`, name], {
    env: OTEL,
  });
  const near = await client.finish();
  await server.said(/METRIC parley\.query\.count [^]*? value=1\n/);
  assertEquals([near.stdout, near.code], ["Hello!\n", 0]);
  await server.type("\n");
  const far = await server.finish();

  const work = spanOf(near.stderr, "work");
  const [open, query] = [spanOf(near.stderr, "open greet"), spanOf(near.stderr, `query ${name}`)];
  const [serve, answer] = [spanOf(far.stderr, "serve greet"), spanOf(far.stderr, `answer ${name}`)];
  const inside = spanOf(far.stderr, "look up a greeting");
  assertEquals(
    [work, open, query, serve, answer, inside].map(({ trace }) => trace),
    Array(6).fill(work.trace),
  );
  assertEquals([open.parent, query.parent], [work.id, work.id]);
  assertEquals([serve.parent, answer.parent, inside.parent], [open.id, query.id, serve.id]);
  assertEquals([open, serve, query, answer].map(({ kind }) => kind), [
    "Client",
    "Server",
    "Client",
    "Server",
  ]);
  assertMatch(near.stderr, /METRIC rpc\.client\.call\.duration [^]*?count=1 /);
  assertMatch(far.stderr, /METRIC rpc\.server\.call\.duration [^]*?count=1 /);
  assertMatch(
    far.stderr,
    /METRIC parley\.connection\.opened [^]*?parley\.protocol=wire[^\n]* value=1\n/,
  );
});
