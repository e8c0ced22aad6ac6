// The two programs of the README's section on IPC, as two processes.
import { assert, assertEquals } from "@std/assert";
import { file, Program, runProgram } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

async function snippet(start: string): Promise<string> {
  const text = await Deno.readTextFile(file("README.md"));
  for (const [, code] of text.matchAll(/^```ts.*\n([^]*?)^```$/gm)) {
    if (code!.startsWith(start)) return code!;
  }
  throw new Error(`There is no snippet that starts with ${start}`);
}

Deno.test("README daemon and worker are of 12 lines each and talk to each other as two processes", async () => {
  await using dir = new TempDir();
  for (const name of ["daemon", "worker"]) {
    const code = await snippet(`// ${name}.ts`);
    const lines = code.split("\n").filter((line) => line !== "" && !line.startsWith("//"));
    assert(lines.length <= 12, `${name}: ${lines.length} lines`);
    await Deno.writeTextFile(`${dir.path}/${name}.ts`, code);
  }
  const env = { XDG_RUNTIME_DIR: dir.path };
  await using daemon = new Program(`${dir.path}/daemon.ts`, [], { env });
  const worker = await runProgram(`${dir.path}/worker.ts`, [], { env });
  assertEquals(worker, { code: 0, stdout: "17 bytes\ntype 7\n", stderr: "" });
  await daemon.printed(/message of type 7/);
});
