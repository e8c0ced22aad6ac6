// Makes `parley` a command, by `deno install -g` from this checkout: nothing of it comes from JSR.
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };

const ROOT = new URL("../", import.meta.url);
const REGISTRY = new URL("tools/registry/@std/", ROOT);

/** What the standard library's packages export, by what is written in imports: files of this checkout. */
function standardLibrary(): Record<string, string> {
  const imports: Record<string, string> = {};
  for (const { name } of Deno.readDirSync(REGISTRY)) {
    const folder = new URL(`${name}/`, REGISTRY);
    const [meta] = [...Deno.readDirSync(folder)].filter((entry) =>
      entry.name.endsWith("_meta.json")
    );
    if (meta === undefined) {
      throw new Error(`Cannot install: @std/${name} has no version in tools/registry`);
    }
    const version = meta.name.slice(0, -"_meta.json".length);
    const { exports } = JSON.parse(Deno.readTextFileSync(new URL(meta.name, folder)));
    for (const [path, file] of Object.entries<string>(exports)) {
      imports[`@std/${name}${path.slice(1)}`] = new URL(`${version}/${file}`, folder).href;
    }
  }
  return imports;
}

// The command reads it each time, as it does the code of this checkout.
const map = new URL("dist/install/import_map.json", ROOT);
Deno.mkdirSync(new URL(".", map), { recursive: true });
Deno.writeTextFileSync(
  map,
  JSON.stringify({ imports: { ...config.imports, ...standardLibrary() } }, null, 2),
);
const [mapFile, main] = [map, new URL("cli/main.ts", ROOT)].map((url) => fileURLToPath(url));
const { code } = await new Deno.Command(Deno.execPath(), {
  args: [
    ...["install", "--global", "--force", "--allow-all", "--no-config", "--import-map", mapFile!],
    ...[...Deno.args, "--name", "parley", main!],
  ],
}).spawn().status;
Deno.exit(code);
