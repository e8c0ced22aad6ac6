// Tests of the static registry's builder.
import { assertEquals, assertNotEquals } from "@std/assert";

const ROOT = new URL("../../tools/registry/@std/", import.meta.url);
const BUILD = new URL("../../tools/registry/build.ts", import.meta.url);

interface VersionMeta {
  readonly manifest: Readonly<Record<string, { readonly size: number; readonly checksum: string }>>;
  readonly exports: Readonly<Record<string, string>>;
}

function readJson<T>(path: string): T {
  return JSON.parse(Deno.readTextFileSync(new URL(path, ROOT)));
}

/** Name and version of each package, from the file that Deno reads first. */
function listPackages(): [name: string, version: string][] {
  return [...Deno.readDirSync(ROOT)].map(({ name }) => {
    const { versions } = readJson<{ versions: Record<string, unknown> }>(`${name}/meta.json`);
    return [name, Object.keys(versions)[0]!];
  });
}

for (const [name, version] of listPackages()) {
  Deno.test(`registry tells size and checksum of each file of @std/${name}`, async () => {
    const { manifest } = readJson<VersionMeta>(`${name}/${version}_meta.json`);
    const files = [...Deno.readDirSync(new URL(`${name}/${version}/`, ROOT))].map((entry) =>
      `/${entry.name}`
    );
    assertEquals(Object.keys(manifest).sort(), files.sort());
    for (const [path, { size, checksum }] of Object.entries(manifest)) {
      const bytes = Deno.readFileSync(new URL(`${name}/${version}${path}`, ROOT));
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      assertEquals([size, checksum], [bytes.length, `sha256-${digest.toHex()}`], path);
    }
  });

  Deno.test(`registry serves each export of @std/${name}`, async () => {
    const { exports } = readJson<VersionMeta>(`${name}/${version}_meta.json`);
    for (const path of Object.keys(exports)) {
      const module = await import(`jsr:@std/${name}@${version}${path.slice(1)}`);
      assertNotEquals(Object.keys(module), [], path);
    }
  });
}

Deno.test("registry build with --check finds the folder in step", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", BUILD.href, "--check"],
  }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
});
