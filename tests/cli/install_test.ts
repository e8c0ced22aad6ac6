// Tests of the way onto the PATH: `deno task install`, as the README says, without JSR.
import { assert, assertEquals } from "@std/assert";
import { VERSION } from "../../cli/main.ts";
import { file } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

Deno.test({
  name: "deno task install makes a command that runs anywhere, without JSR",
  ignore: Deno.build.os === "windows",
  async fn() {
    const readme = await Deno.readTextFile(file("README.md"));
    assert(/^deno task install\b/m.test(readme), "The README does not say so");
    await using folder = new TempDir();
    const own = Deno.execPath().replace(/\/[^/]*$/, "");
    const env = {
      PATH: `${own}:${Deno.env.get("PATH") ?? ""}`,
      // An address where nothing answers stands for JSR.
      JSR_URL: "http://127.0.0.1:9/",
      DENO_INSTALL_ROOT: folder.path,
    };
    const options = { env, stdin: "null", stdout: "piped", stderr: "piped" } as const;
    const made = await new Deno.Command(Deno.execPath(), {
      ...options,
      args: ["task", "install"],
      cwd: file("."),
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assertEquals(made.code, 0, text(made.stderr));
    const ran = await new Deno.Command(`${folder.path}/bin/parley`, {
      ...options,
      args: ["--version"],
      cwd: folder.path,
    }).output();
    assertEquals(text(ran.stdout), `${VERSION}\n`, text(ran.stderr));
  },
});
