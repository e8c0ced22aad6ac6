// The two programs of the README's section on streams, as two processes.
import { assert } from "@std/assert";
import { file, Program } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

async function snippet(name: string, port: number): Promise<string> {
  const text = await Deno.readTextFile(file("README.md"));
  for (const [, code] of text.matchAll(/^```ts.*\n([^]*?)^```$/gm)) {
    if (code!.startsWith(`// ${name}`)) return code!.replaceAll("7000", String(port));
  }
  throw new Error(`There is no snippet that starts with // ${name}`);
}

/** A port without a listener: the programs of the README name one. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("README collector opens a stream to a sensor that only connects out, as two processes", async () => {
  await using dir = new TempDir();
  const port = freePort();
  for (const name of ["collector.ts", "sensor.ts"]) {
    const code = await snippet(name, port);
    const lines = code.split("\n").filter((line) => line !== "" && !line.startsWith("//"));
    assert(lines.length <= 20, `${name}: ${lines.length} lines`);
    await Deno.writeTextFile(`${dir.path}/${name}`, code);
  }
  await using collector = new Program(`${dir.path}/collector.ts`, []);
  await using _sensor = new Program(`${dir.path}/sensor.ts`, []);
  await collector.printed(/^sensor-7 21\.5$/m);
});
