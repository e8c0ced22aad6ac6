// Checks what a project sees that links this repository: with strict options of its own, an empty
// cache, and no JSR in reach.
//
// Beside npm packages it needs nothing then, but for the command line. Deno checks linked sources
// by the options of the project.

import { fileURLToPath } from "node:url";
import { fail } from "./report.ts";
import { ROOT } from "./source_files.ts";

/** The program that the project runs: it uses each subpath but `./cli`. */
const PROGRAM = new URL("tests/strict/consumer.ts", ROOT);

/**
 * Options that only this check sets: they would find fault with the imports that Deno adds to
 * documented examples, and with contracts that examples export as their users do.
 */
const STRICTER = { noUnusedLocals: true, noUnusedParameters: true, isolatedDeclarations: true };

/** An address at which nothing answers. */
const NOWHERE = "http://127.0.0.1:1/";

interface Config {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly compilerOptions: Readonly<Record<string, boolean>>;
}

/** The subpaths that a program does not import, and that are not for the command line. */
function unusedSubpaths({ name, exports }: Config, program: string): string[] {
  const subpaths = Object.keys(exports).filter((subpath) => subpath !== "./cli");
  return subpaths.filter((subpath) => !program.includes(`"${name}${subpath.slice(1)}"`));
}

/** Runs the program in a project in `folder`; returns its output when it failed. */
async function runLinked(
  { name, version, compilerOptions }: Config,
  folder: string,
): Promise<string | null> {
  const project = {
    links: [fileURLToPath(ROOT)],
    imports: { [name]: `jsr:${name}@^${version}` },
    compilerOptions: { ...compilerOptions, ...STRICTER },
    lock: false,
  };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(project));
  await Deno.copyFile(PROGRAM, `${folder}/main.ts`);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--check", "main.ts"],
    cwd: folder,
    env: { DENO_DIR: `${folder}/cache`, JSR_URL: NOWHERE },
    stdin: "null",
  }).output();
  return success ? null : new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

if (import.meta.main) {
  const config: Config = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  const unused = unusedSubpaths(config, Deno.readTextFileSync(PROGRAM));
  if (unused.length > 0) fail(`tests/strict/consumer.ts does not use ${unused.join(", ")}`);
  const folder = await Deno.makeTempDir({ prefix: "parley-linked-" });
  const output = await runLinked(config, folder);
  await Deno.remove(folder, { recursive: true });
  if (output !== null) fail(output);
}
