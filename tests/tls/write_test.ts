// Tests of writeIdentity(): modes, and what is never overwritten.
import { assertEquals, assertRejects } from "@std/assert";
import { createCa, writeIdentity } from "../../tls/mod.ts";
import { withFiles } from "./files.ts";

const first = await createCa();
const second = await createCa();

async function names(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of Deno.readDir(directory)) found.push(name);
  return found.sort();
}

Deno.test("writeIdentity writes both files, the key for its owner only", async () => {
  await withFiles({}, async (directory) => {
    const [certFile, keyFile] = [`${directory}/a.pem`, `${directory}/a.key`];
    await writeIdentity({ ...first, certFile, keyFile });
    assertEquals(await Deno.readTextFile(certFile), first.cert);
    assertEquals(await Deno.readTextFile(keyFile), first.key);
    if (Deno.build.os !== "windows") assertEquals((await Deno.stat(keyFile)).mode! & 0o777, 0o600);
  });
});

Deno.test("writeIdentity never writes over a file by accident, and leaves nothing behind then", async () => {
  for (const [existing, absent] of [["a.pem", "a.key"], ["a.key", "a.pem"]] as const) {
    await withFiles({ [existing]: "precious" }, async (directory) => {
      const identity = { ...first, certFile: `${directory}/a.pem`, keyFile: `${directory}/a.key` };
      await assertRejects(() => writeIdentity(identity), Deno.errors.AlreadyExists);
      assertEquals(await Deno.readTextFile(`${directory}/${existing}`), "precious");
      assertEquals((await names(directory)).includes(absent), false);
    });
  }
});

Deno.test("writeIdentity with replace puts new files in the place of old ones, the key with its mode", async () => {
  await withFiles({ "a.pem": "old", "a.key": "old" }, async (directory) => {
    const [certFile, keyFile] = [`${directory}/a.pem`, `${directory}/a.key`];
    await writeIdentity({ ...second, certFile, keyFile, replace: true });
    assertEquals(await Deno.readTextFile(certFile), second.cert);
    assertEquals(await Deno.readTextFile(keyFile), second.key);
    if (Deno.build.os !== "windows") assertEquals((await Deno.stat(keyFile)).mode! & 0o777, 0o600);
    assertEquals(await names(directory), ["a.key", "a.pem"]);
  });
});

Deno.test("writeIdentity refuses one file for both", async () => {
  await assertRejects(
    () => writeIdentity({ ...first, certFile: "a", keyFile: "a" }),
    TypeError,
    "must differ",
  );
});

Deno.test("writeIdentity with replace replaces both files or none", async () => {
  for (const [there, files] of [["an old key", { "a.key": "old" }], ["no key", {}]] as const) {
    await withFiles(files, async (directory) => {
      const [certFile, keyFile] = [`${directory}/a.pem`, `${directory}/a.key`];
      // No file can take its place.
      await Deno.mkdir(certFile);
      await assertRejects(() => writeIdentity({ ...second, certFile, keyFile, replace: true }));
      const left = there === "no key" ? ["a.pem"] : ["a.key", "a.pem"];
      assertEquals(await names(directory), left, there);
      if (there !== "no key") assertEquals(await Deno.readTextFile(keyFile), "old");
    });
  }
});

Deno.test("writeIdentity with replace keeps the old key where links cannot be made", async () => {
  await withFiles({ "a.key": "old" }, async (directory) => {
    const [certFile, keyFile] = [`${directory}/a.pem`, `${directory}/a.key`];
    await Deno.mkdir(certFile);
    const { link } = Deno;
    Deno.link = () => Promise.reject(new Deno.errors.NotSupported("no links here"));
    try {
      await assertRejects(() => writeIdentity({ ...second, certFile, keyFile, replace: true }));
    } finally {
      Deno.link = link;
    }
    assertEquals([await Deno.readTextFile(keyFile), await names(directory)], ["old", [
      "a.key",
      "a.pem",
    ]]);
  });
});
