// README and docs: their snippets without `ignore` are run by `deno test --doc`; here is the rest
// of what they say.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { resolveConnectOptions } from "../client/options.ts";
import { resolveAdmission } from "../limits/admission_options.ts";
import { resolveServeOptions } from "../server/options.ts";
import { findLibraryFiles } from "../tools/source_files.ts";
import { dirname, join } from "node:path";
import { file, Program, runProgram } from "./support/programs/program.ts";
import { TempDir } from "./support/programs/temp_dir.ts";

const README = await Deno.readTextFile(file("README.md"));

/** Code of the snippet that begins with this text. */
function snippet(language: string, start: string): string {
  for (const [, info, code] of README.matchAll(/^```(.*)\n([^]*?)^```$/gm)) {
    if (info!.split(" ")[0] === language && code!.startsWith(start)) return code!;
  }
  throw new Error(`The README has no ${language} snippet that starts with ${start}`);
}

/** Replaces what must be there. */
function replaceOnce(text: string, from: string, to: string): string {
  assertEquals(text.split(from).length, 2, `"${from}" must be there once`);
  return text.replace(from, to);
}

Deno.test("README server and client are of 15 lines each and talk to each other as two programs", async () => {
  await using folder = new TempDir();
  const server = snippet("ts", "// server.ts");
  const client = snippet("ts", "// client.ts");
  for (const code of [server, client]) {
    const lines = code.split("\n").filter((line) => line !== "" && !line.startsWith("//"));
    assert(lines.length <= 15, `${lines.length} lines`);
  }
  const listen = "port: 0, onListen: (addr) => console.log(addr)";
  const serverFile = `${folder.path}/server.ts`;
  await Deno.writeTextFile(serverFile, replaceOnce(server, "port: 5555", listen));
  await using running = new Program(serverFile);
  const port = `port: ${await running.port()}`;
  const clientFile = `${folder.path}/client.ts`;
  await Deno.writeTextFile(clientFile, replaceOnce(client, "port: 5555", port));

  const result = await runProgram(clientFile);
  assertEquals(result, { code: 0, stdout: "You said: Hi!\nYou said: How are you?\n", stderr: "" });
  if (Deno.build.os === "windows") return; // no signals to send there
  running.kill("SIGINT");
  assertEquals((await running.finish()).code, 0);
});

Deno.test("README deno.json links a checkout into a project of its own, with no registry", async () => {
  await using folder = new TempDir();
  const config = replaceOnce(snippet("json", "{"), `"../parley"`, JSON.stringify(file("")));
  await Deno.writeTextFile(`${folder.path}/deno.json`, config);
  const app = `import { serve } from "@parley/parley";
    import { createCa } from "@parley/parley/tls";
    import { delimited } from "@parley/parley/framing";
    console.log(typeof serve, typeof createCa, delimited("\\n").name);`;
  await Deno.writeTextFile(`${folder.path}/app.ts`, app);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", "app.ts"],
    cwd: folder.path,
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  assertStringIncludes(new TextDecoder().decode(stdout), "function function delimited");
});

Deno.test("docs/limits.md tells the defaults as they are", async () => {
  const page = await Deno.readTextFile(file("docs/limits.md"));
  const server = resolveServeOptions({});
  const admission = resolveAdmission({});
  const size = (bytes: number) =>
    bytes < 2 ** 20 ? `${bytes / 1024} KiB` : `${bytes / 2 ** 20} MiB`;
  const time = (ms: number) => ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
  const wanted: Record<string, string> = {
    maxMessageBytes: size(server.connection.maxMessageBytes),
    highWaterBytes: size(server.connection.highWaterBytes),
    maxQueuedBytes: size(server.connection.maxQueuedBytes),
    writeTimeoutMs: time(server.connection.writeTimeoutMs),
    readAheadBytes: size(server.connection.readAheadBytes),
    messageTimeoutMs: time(server.connection.messageTimeoutMs),
    idleTimeoutMs: `${time(server.connection.idleTimeoutMs)} on servers, off on clients`,
    receiveTimeoutMs: server.connection.receiveTimeoutMs === 0 ? "off" : "on",
    closeTimeoutMs: time(server.connection.closeTimeoutMs),
    maxConnections: `${admission.maxConnections}`,
    maxPending: `${admission.maxPending}`,
    maxPendingPerSource: `${admission.maxPendingPerSource}`,
    handshakeTimeoutMs: time(server.door.handshakeTimeoutMs),
    drainTimeoutMs: time(server.drainTimeoutMs),
    timeoutMs: time(resolveConnectOptions({ port: 1 }).timeoutMs),
  };
  assertEquals(resolveConnectOptions({ port: 1 }).connection.idleTimeoutMs, 0);
  for (const [name, value] of Object.entries(wanted)) {
    const row = new RegExp(`^\\| \`${name}\`[^|]*\\| (.*?) *\\|`, "m").exec(page);
    assert(row !== null, `There is no row for ${name}`);
    assert(row[1]!.startsWith(value), `${name} is ${value}, the page says ${row[1]}`);
  }
});

/** Anchors of the titles of a page. */
function anchors(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")
  );
}

/** Text of the library: a code that a page names must be in it. */
const sources =
  (await Array.fromAsync(await findLibraryFiles(), (path) => Deno.readTextFile(file(path))))
    .join("\n");

const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...[...Deno.readDirSync(file("docs"))].filter((entry) => entry.name.endsWith(".md")).map((
    { name },
  ) => `docs/${name}`),
];

for (const path of PAGES) {
  Deno.test(`${path} names tasks, error codes, files and sections that exist`, async () => {
    const page = await Deno.readTextFile(file(path));
    const { tasks } = JSON.parse(await Deno.readTextFile(file("deno.json")));
    for (const [, task] of page.matchAll(/deno(?:@[\d.]+)? task (\w+)/g)) {
      assert(task! in tasks, `no task ${task}`);
    }
    for (const [code] of page.matchAll(/ERR_[A-Z_]+/g)) {
      assert(sources.includes(`"${code}"`), `no error ${code}`);
    }
    for (
      const [, path] of page.matchAll(/`((?:bench|docs|examples|tests|tools)\/[\w./]+\.\w+)`/g)
    ) {
      assert((await Deno.stat(file(path!))).isFile, `no file ${path}`);
    }
    for (const [, target] of page.matchAll(/\]\(([^)]+)\)/g)) {
      if (target!.startsWith("https://")) continue;
      const [name, anchor] = target!.split("#");
      const other = name === "" ? path : join(dirname(path), name!);
      const info = await Deno.stat(file(other));
      if (anchor === undefined || info.isDirectory) continue;
      assert(
        anchors(await Deno.readTextFile(file(other))).includes(anchor),
        `no section ${target}`,
      );
    }
  });
}
