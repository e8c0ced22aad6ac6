// Tests of `parley demo` as a program: every check holds, faults are found, nothing is left behind.
import { isAlive } from "../../support/programs/alive.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Program, runProgram } from "../../support/programs/program.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";

const noPaths = Deno.build.os === "windows";

const MAIN = "cli/main.ts";

/** A folder for temporary files of its own shows what the demo leaves behind. */
function inFolder(folder: TempDir): { env: Record<string, string> } {
  return { env: { TMPDIR: folder.path, TMP: folder.path, TEMP: folder.path } };
}

function leftBehind(folder: TempDir): string[] {
  return [...Deno.readDirSync(folder.path)].map((entry) => entry.name);
}

Deno.test("parley demo holds all its checks within 15 seconds and leaves nothing behind", async () => {
  await using folder = new TempDir();
  const startedAtMs = performance.now();
  const { code, stdout, stderr } = await runProgram(MAIN, ["demo"], inFolder(folder));
  const ms = performance.now() - startedAtMs;
  assertEquals(code, 0, `${stdout}\n${stderr}`);
  assertEquals(stdout.match(/✗/), null);
  for (
    const claim of [
      /a client without a certificate is refused/,
      /[\d,]{3,} lines came back unchanged and in order over TLSv1\.3/,
      /sent, received and stored file have one SHA-256: [0-9a-f]{16}…/,
      /67,108,864 bytes in/,
      /process \d+ answered a call through a hub, over TLS/,
      ...noPaths ? [] : [/10,000 values of a feed came over an encrypted channel, in order/],
      /10,000 answered in .*, each in order and with the right content/,
      /10,000 handled, as the server counted/,
      /50 busy connections ended in order/,
      /messages in all were answered, and each of them was handled/,
      /were handled, and each of them was answered/,
      /none was handled or answered twice/,
      /All \d+ checks held/,
    ]
  ) assertMatch(stdout, claim);
  assertMatch(stderr, /Drain, while all 50 clients send without pause/);
  assert(
    !stderr.includes("\r") && !stdout.includes("\x1b"),
    "no progress and no colours where there is no terminal",
  );
  assert(ms < 15_000, `it took ${ms} ms`);
  assertEquals(leftBehind(folder), []);
});

Deno.test("parley demo ends with 1 and tells which checks failed, when faults are put into the server", async () => {
  await using folder = new TempDir();
  const path = `${folder.path}/three lines.txt`;
  await Deno.writeTextFile(path, "one\n\ntwo ✓ without an end");
  const args = ["demo", "--json", "--text", path, "--fault", "file,lost,twice"];
  const { code, stdout } = await runProgram(MAIN, args);
  const { held, checks } = JSON.parse(stdout) as {
    held: boolean;
    checks: { claim: string; held: boolean }[];
  };
  assertEquals({ code, held }, { code: 1, held: false });
  const claims = (wanted: boolean) =>
    checks.filter((check) => check.held === wanted).map((check) => check.claim);
  assertMatch(claims(true).join("\n"), /^3 lines came back/m);
  assertMatch(
    claims(false).join("\n"),
    /^sent, received and stored file have one .*\n.* messages in all were answered.*\nnone was handled or answered twice$/,
  );
});

Deno.test("parley demo ends with 1 and cleans up when the text file is not there", async () => {
  await using folder = new TempDir();
  const options = inFolder(folder);
  const { code, stderr } = await runProgram(
    MAIN,
    ["demo", "--text", `${folder.path}/none.txt`],
    options,
  );
  assertEquals(code, 1);
  assertMatch(stderr, /none\.txt/);
  assertEquals(leftBehind(folder), []);
});

Deno.test({
  name: "parley demo cleans up its processes and files on SIGINT",
  ignore: Deno.build.os === "windows", // no signals to send there
  async fn() {
    await using folder = new TempDir();
    await using demo = new Program(MAIN, ["demo"], inFolder(folder));
    const [, pid] = await demo.printed(/process (\d+) listens/);
    demo.kill("SIGINT");
    const { code, stderr } = await demo.finish();
    assertEquals(code, 1);
    assertMatch(stderr, /parley demo: Interrupted/);
    assertEquals(leftBehind(folder), []);
    assert(!isAlive(Number(pid)), "the server still runs");
  },
});
