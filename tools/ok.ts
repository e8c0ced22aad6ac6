// The whole gate: runs every check, prints a table, and shows the output of those that failed.

import { pathToFileURL as toFileUrl } from "node:url";
import { findFiles, findLibraryFiles, ROOT } from "./source_files.ts";

/** One check: a Deno command that exits with 0 if all is well. */
interface Step {
  readonly name: string;
  readonly args: readonly string[];
  /** Added to the environment. */
  readonly env?: Record<string, string> | undefined;
}

interface StepResult {
  readonly step: Step;
  readonly ok: boolean;
  readonly seconds: number;
  readonly output: string;
}

function entryPoints(): string[] {
  const config: { exports: Record<string, string> } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", ROOT)),
  );
  return Object.values(config.exports);
}

/**
 * Copies the static registry out of the package, into `folder`: publishing takes what it resolves
 * inside the package for files of ours that were left out. Where the real registry is in use there
 * is nothing to copy.
 */
function registryOutside(folder: string): Record<string, string> {
  const url = Deno.env.get("JSR_URL");
  if (url === undefined || !url.startsWith(ROOT.href)) return {};
  copyFolder(new URL(url), `${folder}/registry`);
  return { JSR_URL: `${toFileUrl(folder)}/registry/` };
}

function copyFolder(from: URL, to: string): void {
  Deno.mkdirSync(to);
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyFolder(new URL(`${name}/`, from), `${to}/${name}`);
    else Deno.copyFileSync(new URL(name, from), `${to}/${name}`);
  }
}

/** Checks that only read; they run side by side. */
function staticSteps(folder: string): Step[] {
  const talkative = (path: string) => path.startsWith("cli/");
  return [
    // The longest comes first. Those of the examples in comments and in Markdown are among them.
    { name: "types", args: ["check", "--doc", ...findFiles(".ts"), ...findFiles(".md")] },
    {
      name: "publish dry run",
      // Slow types are found all the same; all types are checked once, below.
      args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
      env: registryOutside(folder),
    },
    { name: "lint", args: ["lint"] },
    {
      name: "no stray console",
      args: [
        "lint",
        "--rules-tags=",
        "--rules-include=no-console",
        ...findLibraryFiles().filter((path) => !talkative(path)),
      ],
    },
    { name: "format", args: ["fmt", "--check"] },
    { name: "doc lint", args: ["doc", "--lint", ...entryPoints()] },
    { name: "all documented", args: ["run", "-A", "tools/check_docs.ts"] },
    { name: "plain words", args: ["run", "-A", "tools/check_words.ts"] },
    { name: "layers", args: ["run", "-A", "tools/check_layers.ts"] },
    { name: "compile embeds", args: ["run", "-A", "tools/check_compile.ts"] },
    { name: "linked project", args: ["run", "-A", "tools/check_linked.ts"] },
    { name: "registry in step", args: ["run", "-A", "tools/registry/build.ts", "--check"] },
  ];
}

/** Checks that measure time; they run alone. */
const TEST_STEP: Step = {
  name: "tests and examples",
  args: ["run", "-A", "tools/test.ts", "--no-check"],
};

async function runStep(step: Step): Promise<StepResult> {
  const start = performance.now();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...step.args],
    cwd: ROOT,
    ...step.env !== undefined && { env: step.env },
    stdin: "null",
  }).output();
  const result = {
    step,
    ok: code === 0,
    seconds: (performance.now() - start) / 1000,
    output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr),
  };
  console.log(
    `${result.ok ? "ok  " : "FAIL"} ${result.seconds.toFixed(1).padStart(6)} s  ${step.name}`,
  );
  return result;
}

/** Runs the steps with one per processor at a time. */
async function runSideBySide(steps: readonly Step[]): Promise<StepResult[]> {
  const queue = steps.values();
  const results: StepResult[] = [];
  const work = async () => {
    for (const step of queue) results.push(await runStep(step));
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, work));
  return results;
}

if (import.meta.main) {
  const folder = Deno.makeTempDirSync({ prefix: "parley-ok-" });
  const results = await runSideBySide(staticSteps(folder));
  Deno.removeSync(folder, { recursive: true });
  if (!Deno.args.includes("--no-test")) results.push(await runStep(TEST_STEP));
  const failed = results.filter((result) => !result.ok);
  for (const { step, output } of failed) {
    console.error(
      `\n===== ${step.name}: deno ${step.args.slice(0, 4).join(" ")}\n${output.trimEnd()}`,
    );
  }
  if (failed.length > 0) {
    console.error(`\nFailed: ${failed.map((result) => result.step.name).join(", ")}`);
    Deno.exit(1);
  }
}
