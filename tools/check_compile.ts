// Checks the compile task: that the program embeds what it needs and no more, and gets the
// permissions that are written there.
//
// Where the base binary cannot be fetched, Deno itself stands in for it: everything is embedded as
// usual, but the result does not run. The workflow runs the real one.

import { fail } from "./report.ts";
import { ROOT } from "./source_files.ts";

/** Most that the program may add to its base, in bytes. */
const MAX_ADDED_BYTES = 16 * 2 ** 20;

/** Packages that only tests and benchmarks use. */
const NOT_OURS = [
  "arktype",
  "cockatiel",
  "connectrpc",
  "fast-check",
  "grpc-js",
  "libp2p",
  "valibot",
  "vscode-jsonrpc",
  "zod",
];

/**
 * Arguments of `deno` in the compile task, without types, which have a check of their own; `output`
 * takes the place of its own.
 */
function compileArgs(output: string): string[] {
  const { tasks }: { tasks: { compile: { command: string } } } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", ROOT)),
  );
  const args = tasks.compile.command.split(" ");
  const start = args.indexOf("deno") + 1;
  const target = args.indexOf("--output") + 1;
  if (start === 0 || target === 0 || args[start] !== "compile") {
    fail("The compile task must say: deno compile … --output …");
  }
  args[target] = output;
  args.splice(start + 1, 0, "--no-check"); // behind the word "compile"
  return args.slice(start);
}

/** The permissions that are written into the program. */
function permissionsIn(program: Uint8Array<ArrayBuffer>): Record<string, unknown> {
  const text = new TextDecoder("latin1").decode(program);
  const start = text.lastIndexOf(',"permissions":{') + ',"permissions":'.length;
  return JSON.parse(text.slice(start, text.indexOf("}", start) + 1));
}

/** The permissions that the flags ask for, as the program prints them: a list, empty for all of a kind. */
function permissionsOf(args: readonly string[]): Map<string, string[]> {
  const permissions = new Map<string, string[]>();
  for (const arg of args) {
    const [, kind, names] = /^--allow-([a-z]+)(?:=(.*))?$/.exec(arg) ?? [];
    if (kind !== undefined) permissions.set(`allow_${kind}`, names?.split(",") ?? []);
  }
  return permissions;
}

function checkPermissions(program: Uint8Array<ArrayBuffer>, args: readonly string[]): string[] {
  const asked = permissionsOf(args);
  const faults = asked.size === 0 ? ["The task gives no permission, or all of them"] : [];
  for (const [name, value] of Object.entries(permissionsIn(program))) {
    if (name === "prompt" && value !== false) {
      faults.push("The program would ask for permissions: --no-prompt");
    }
    // Deno adds where modules may be imported from; the program imports none.
    if (!name.startsWith("allow_") || name === "allow_import") continue;
    const [wanted, got] = [JSON.stringify(asked.get(name) ?? null), JSON.stringify(value)];
    if (wanted !== got) faults.push(`The program has ${name} ${got}, and not ${wanted}`);
  }
  return faults;
}

/** What is wrong with the program that the arguments make in `folder`; empty if nothing is. */
async function checkCompile(folder: string): Promise<string[]> {
  const output = `${folder}/parley`;
  const args = compileArgs(output);
  const standIn = Deno.build.os === "linux" && !Deno.env.has("DENORT_BIN");
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    // Its output is read: it must not be coloured.
    env: { NO_COLOR: "1", ...standIn && { DENORT_BIN: Deno.execPath() } },
    stdin: "null",
  }).output();
  const told = new TextDecoder().decode(stderr);
  if (code !== 0) return [`deno compile ended with ${code}:\n${told}`];
  const file = Deno.build.os === "windows" ? `${output}.exe` : output;
  const program = Deno.readFileSync(file);
  const faults = checkPermissions(program, args);
  const readme = Deno.readFileSync(new URL("README.md", ROOT));
  if (!includes(program, readme)) {
    faults.push("The program does not embed README.md, which the demo sends");
  }
  // A folder that is embedded whole is listed without its files.
  if (!/─ (?:main\.ts|cli\/\*)/.test(told)) faults.push("The program does not embed cli/main.ts");
  for (const name of NOT_OURS) if (told.includes(name)) faults.push(`The program embeds ${name}`);
  const added = program.length - Deno.statSync(Deno.execPath()).size;
  if (standIn && (added < readme.length || added > MAX_ADDED_BYTES)) {
    faults.push(`The program adds ${added} bytes to its base`);
  }
  return faults;
}

function includes(all: Uint8Array, part: Uint8Array): boolean {
  return new TextDecoder("latin1").decode(all).includes(new TextDecoder("latin1").decode(part));
}

if (import.meta.main) {
  const folder = Deno.makeTempDirSync({ prefix: "parley-compile-" });
  const faults = await checkCompile(folder).finally(() =>
    Deno.removeSync(folder, { recursive: true })
  );
  if (faults.length > 0) fail(faults.join("\n"));
}
