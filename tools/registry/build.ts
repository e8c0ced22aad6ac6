// Makes the static registry from the declarations in it; with --check only tells whether it is in step.

import { compareTexts, fail } from "../report.ts";
import { ROOT as REPOSITORY } from "../source_files.ts";

/** Where the code behind the declarations comes from: the standard library as it is on npm. */
const SOURCE = "npm:deno-std@1.4.0";
const ROOT = new URL("@std/", import.meta.url);

/** One package in one version, as the folder holds it. */
interface RegistryPackage {
  readonly name: string;
  readonly version: string;
  /** Module names without an ending, in order: `delay`, `text_line_stream`. */
  readonly modules: readonly string[];
}

function listNames(folder: URL, kind: "isFile" | "isDirectory"): string[] {
  return [...Deno.readDirSync(folder)].filter((entry) => entry[kind]).map((entry) => entry.name)
    .sort();
}

function readPackages(): RegistryPackage[] {
  return listNames(ROOT, "isDirectory").map((name) => {
    const versions = listNames(new URL(`${name}/`, ROOT), "isDirectory");
    const [version] = versions;
    if (version === undefined || versions.length > 1) {
      fail(`Cannot build @std/${name}: wanted one version, there are ${versions.length}`);
    }
    const modules = listNames(new URL(`${name}/${version}/`, ROOT), "isFile")
      .filter((file) => file.endsWith(".d.ts"))
      .map((file) => file.slice(0, -".d.ts".length));
    return { name, version, modules };
  });
}

/** The names that a declaration says exist at run time. */
function declaredNames(declaration: string): string[] {
  const names = [
    ...declaration.matchAll(/^export (?:declare )?(?:abstract )?(?:function|class|const) (\w+)/gm),
  ];
  return [...new Set(names.map((match) => match[1]!))].sort();
}

/** A declaration must name all that the module exports, and nothing else. */
async function checkDeclaration(pkg: RegistryPackage, module: string): Promise<void> {
  const file = new URL(`${pkg.name}/${pkg.version}/${module}.d.ts`, ROOT);
  const declared = declaredNames(Deno.readTextFileSync(file)).join(" ");
  const specifier = `${SOURCE}/${pkg.name}/${module}.js`;
  const actual = Object.keys(await import(specifier)).sort().join(" ");
  if (declared !== actual) {
    fail(
      `Cannot build @std/${pkg.name}: ${module}.d.ts declares "${declared}", the code exports "${actual}"`,
    );
  }
}

async function sha256(text: string): Promise<{ size: number; checksum: string }> {
  const bytes = new TextEncoder().encode(text);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { size: bytes.length, checksum: `sha256-${digest.toHex()}` };
}

/** All files of a package that are made, by path below {@linkcode ROOT}. */
async function buildPackage(pkg: RegistryPackage): Promise<Map<string, string>> {
  const folder = `${pkg.name}/${pkg.version}`;
  const sources = new Map<string, string>();
  const exports: Record<string, string> = { ".": "./mod.ts" };
  for (const module of pkg.modules) {
    await checkDeclaration(pkg, module);
    const declaration = Deno.readTextFileSync(new URL(`${folder}/${module}.d.ts`, ROOT));
    sources.set(`${folder}/${module}.d.ts`, declaration);
    sources.set(
      `${folder}/${module}.ts`,
      `// @ts-types="./${module}.d.ts"\nexport * from "${SOURCE}/${pkg.name}/${module}.js";\n`,
    );
    exports[`./${module.replaceAll("_", "-")}`] = `./${module}.ts`;
  }
  sources.set(
    `${folder}/mod.ts`,
    pkg.modules.map((module) => `export * from "./${module}.ts";\n`).join(""),
  );

  const manifest: Record<string, { size: number; checksum: string }> = {};
  for (const [path, text] of sources) manifest[path.slice(folder.length)] = await sha256(text);
  const meta = {
    scope: "std",
    name: pkg.name,
    latest: pkg.version,
    versions: { [pkg.version]: {} },
  };
  const json = (value: unknown) => JSON.stringify(value, null, 2) + "\n";
  return sources
    .set(`${pkg.name}/meta.json`, json(meta))
    .set(`${pkg.name}/${pkg.version}_meta.json`, json({ manifest, exports }));
}

/** All files of the folder, by path below {@linkcode ROOT}. */
function listFiles(folder = ""): string[] {
  const here = new URL(folder, ROOT);
  return [
    ...listNames(here, "isFile").map((name) => folder + name),
    ...listNames(here, "isDirectory").flatMap((name) => listFiles(`${folder}${name}/`)),
  ];
}

/** In deno.json, a JSR range must start at the version held here, and an npm package have one version. */
function checkPins(packages: readonly RegistryPackage[]): void {
  const config: { imports: Record<string, string> } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", REPOSITORY)),
  );
  const held = packages.map(({ name, version }) => `jsr:@std/${name}@^${version}`);
  for (const target of Object.values(config.imports)) {
    if (target.startsWith("jsr:") && !held.includes(target)) {
      fail(`Cannot use "${target}" in deno.json: the static registry holds ${held.join(", ")}`);
    }
    if (target.startsWith("npm:") && !/@\d+\.\d+\.\d+(?:-[\w.]+)?(?:\/|$)/.test(target)) {
      fail(`Cannot use "${target}" in deno.json: an npm package needs an exact version`);
    }
  }
}

if (import.meta.main) {
  const packages = readPackages();
  const built = new Map(
    (await Promise.all(packages.map(buildPackage))).flatMap((files) => [...files]),
  );
  checkPins(packages);
  const surplus = listFiles().filter((path) => !built.has(path));
  if (Deno.args[0] === "--check") {
    const remedy = "deno task registry";
    if (surplus.length > 0) {
      fail(`Surplus files in the static registry: ${surplus.join(", ")}\nRun: ${remedy}`);
    }
    compareTexts("the static registry", remedy, ROOT, built);
  } else {
    for (const [path, text] of built) Deno.writeTextFileSync(new URL(path, ROOT), text);
    for (const path of surplus) Deno.removeSync(new URL(path, ROOT));
  }
}
