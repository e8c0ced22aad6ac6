// The documented permissions are enough: in the heads of the examples, and for channels in
// docs/operations.md.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { file, runProgram } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

Deno.test("each example says which permissions it needs, never all, and a test runs it with these", () => {
  const folder = file("tests/examples");
  const tests = [...Deno.readDirSync(folder)].map(({ name }) =>
    Deno.readTextFileSync(`${folder}/${name}`)
  )
    .join();
  for (const { name } of Deno.readDirSync(file("examples"))) {
    const head = Deno.readTextFileSync(file(`examples/${name}`)).split(/^(?!\/\/)/m, 1)[0]!;
    const commands = head.match(/\bdeno run .*/g) ?? [];
    assert(commands.length > 0, `${name} does not say how to run it`);
    // `Program` runs it with what stands there.
    for (const command of commands) {
      assertMatch(command, /^deno run (--allow-(?!all)\S+ )+examples\//, name);
    }
    assert(tests.includes(`examples/${name}`), `No test runs ${name}`);
  }
});

/** The flags that docs/operations.md names for a channel of this name in this folder. */
function documentedFlags(folder: string, name: string): string[] {
  const page = Deno.readTextFileSync(file("docs/operations.md"));
  const [, flags] =
    /^deno run --no-prompt ((?:--allow-\S+ (?:\\\n +)?)+)channel\.ts$/m.exec(page) ?? [];
  assert(flags !== undefined, "docs/operations.md names no permissions of channels");
  return flags.split(/[\s\\]+/).filter((flag) => flag !== "")
    .map((flag) =>
      flag.replaceAll("/run/orders/parley", folder).replaceAll("jobs.sock", `${name}.sock`)
    );
}

Deno.test("listenIpc and connectIpc need no more than docs/operations.md says, with XDG_RUNTIME_DIR and without", async () => {
  await using dir = new TempDir();
  const name = `documented-${crypto.randomUUID()}`;
  for (
    const [folder, runtime] of [[`${dir.path}/parley`, dir.path], [
      `/tmp/parley-${Deno.uid()}`,
      "",
    ]] as const
  ) {
    const { stdout, stderr } = await runProgram("tests/ipc/programs/channel.ts", [name], {
      env: { XDG_RUNTIME_DIR: runtime },
      onlyFlags: ["--no-prompt", ...documentedFlags(folder, name)],
    });
    assertEquals(stdout, "answered\n", stderr);
  }
});

Deno.test("listenIpc and connectIpc over TCP with a secret of their own need the network and nothing else", async () => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  const { stdout, stderr } = await runProgram("tests/ipc/programs/channel.ts", ["tcp", `${port}`], {
    onlyFlags: ["--no-prompt", `--allow-net=127.0.0.1:${port}`],
  });
  assertEquals(stdout, "answered\n", stderr);
});
