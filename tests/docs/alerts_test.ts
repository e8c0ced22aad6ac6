// Tests of the alerts in docs/: a real Prometheus takes them, and they ring when they should and not before.
import { assert, assertEquals } from "@std/assert";
import { file } from "../support/program.ts";
import { TempDir } from "../support/temp_dir.ts";

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
  const names = [...(await Deno.readTextFile(RULES)).matchAll(/- alert: (\w+)/g)].map((match) => match[1]!);
  assert(names.length > 10);
  assertEquals(names.filter((name) => !cases.includes(name)), []);
});
