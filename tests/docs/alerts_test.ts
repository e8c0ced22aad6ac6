// Tests of the alerts in docs/: a real Prometheus takes them, and they ring when they should and not before.
import { assert, assertEquals } from "@std/assert";
import { Client, type ClientOptions, serve } from "@parley/parley";
import { Pool } from "@parley/parley/pool";
import { mount } from "@parley/parley/wire";
import { readCertificates } from "@parley/parley/tls";
import { testCerts } from "../support/programs/certs.ts";
import { file } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

const RULES = file("docs/alerts.yml");

function promtool(...args: string[]): { code: number; text: string } | null {
  try {
    const { code, stdout, stderr } = new Deno.Command("promtool", { args }).outputSync();
    return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

const ignore = promtool("--version") === null;
const reason = ignore ? " (ignored: needs promtool)" : "";

Deno.test({
  name: `alerts are rules that Prometheus takes${reason}`,
  ignore,
  fn() {
    assertEquals(promtool("check", "rules", RULES)?.code, 0);
  },
});

Deno.test({
  name: `alerts ring for what is wrong, and not on a quiet day${reason}`,
  ignore,
  async fn() {
    await using folder = new TempDir();
    const cases = await Deno.readTextFile(file("tests/docs/alerts_cases.yml"));
    const path = `${folder.path}/cases.yml`;
    await Deno.writeTextFile(path, cases.replace("[ALERTS]", JSON.stringify([RULES])));
    const { code, text } = promtool("test", "rules", path)!;
    assertEquals(code, 0, text);
  },
});

Deno.test("alerts are each tried by a case", async () => {
  const cases = await Deno.readTextFile(file("tests/docs/alerts_cases.yml"));
  const names = [...(await Deno.readTextFile(RULES)).matchAll(/- alert: (\w+)/g)].map((match) =>
    match[1]!
  );
  assert(names.length > 10);
  assertEquals(names.filter((name) => !cases.includes(name)), []);
});

const OPEN_METRICS = new URL("../../stats/export/openmetrics.ts", import.meta.url);
const isThere = await Deno.stat(OPEN_METRICS).then(() => true, () => false);

Deno.test({
  name: `alerts ask for metrics that there are${isThere ? "" : " (ignored: needs openMetrics)"}`,
  ignore: !isThere,
  async fn() {
    const { openMetrics } = await import(OPEN_METRICS.href);
    const { server: tls } = await testCerts();
    await using server = serve({ tls }, (conn) => conn.inputEnded);
    await server.ready;
    await using wire = mount({ insecureAnyone: true });
    await using client = new Client(
      {
        ...server.addr,
        tls: { pin: readCertificates(tls.cert)[0]!.fingerprint256 },
      } as ClientOptions,
    );
    await client.ready;
    await using pool = new Pool({ backends: [server.addr] });
    const sources = [server, client, wire, pool] as readonly unknown[] as readonly {
      stats(): unknown;
    }[];
    const text: string = openMetrics(sources.map((source) => source.stats()), {
      format: "prometheus",
    });
    const known = new Set([...text.matchAll(/^(parley_\w+)[{ ]/gm)].map((match) => match[1]!));
    assert(known.size > 20);
    const rules = await Deno.readTextFile(RULES);
    const asked = new Set(
      [...rules.matchAll(/\b(parley_\w+?)(?:\{|\[| [=>]|\))/g)].map((match) => match[1]!),
    );
    assert(asked.size > 10);
    assertEquals([...asked.difference(known)], []);
    const labels = new Set([...text.matchAll(/\b(\w+)="/g)].map((match) => match[1]!));
    const used = new Set([...rules.matchAll(/\$labels\.(\w+)/g)].map((match) => match[1]!));
    // The scraper adds the instance.
    assertEquals([...used.difference(labels)], ["instance"]);
  },
});
