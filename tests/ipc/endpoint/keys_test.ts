// SecretKey: made, stored, loaded only when it is safe, and never shown.
import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { scryptSync } from "node:crypto";
import { inspect } from "node:util";
import { AuthError } from "../../../errors.ts";
import { secretBytes, SecretKey } from "../../../ipc/endpoint/keys.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";
import { hex } from "../support.ts";

async function inTempDir(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("SecretKey.generate gives another secret each time", () => {
  assert(!SecretKey.generate().equals(SecretKey.generate()));
});

Deno.test("SecretKey.fromBytes copies exactly 32 bytes", () => {
  const bytes = new Uint8Array(32).fill(3);
  const key = SecretKey.fromBytes(bytes);
  bytes.fill(4);
  assert(key.equals(SecretKey.fromBytes(new Uint8Array(32).fill(3))));
  for (const length of [0, 31, 33]) {
    assertThrows(() => SecretKey.fromBytes(new Uint8Array(length)), RangeError);
  }
});

Deno.test("SecretKey.toFile makes a file of this user alone, and never overwrites", () =>
  inTempDir(async (dir) => {
    const key = SecretKey.generate();
    await key.toFile(`${dir}/key`);
    const info = await Deno.lstat(`${dir}/key`);
    assertEquals([info.size, info.mode! & 0o777], [32, 0o600]);
    await assertRejects(() => SecretKey.generate().toFile(`${dir}/key`), Deno.errors.AlreadyExists);
    assert((await SecretKey.fromFile(`${dir}/key`)).equals(key));
    assertEquals(
      [...Deno.readDirSync(dir)].map((entry) => entry.name),
      ["key"],
      "nothing is left behind",
    );
  }));

Deno.test("SecretKey.toFile lets one of many win, and the others load what it wrote", () =>
  inTempDir(async (dir) => {
    const keys = Array.from({ length: 8 }, () => SecretKey.generate());
    const results = await Promise.allSettled(keys.map((key) => key.toFile(`${dir}/key`)));
    const won = keys.filter((_, i) => results[i]!.status === "fulfilled");
    assertEquals(won.length, 1);
    assert((await SecretKey.fromFile(`${dir}/key`)).equals(won[0]!));
  }));

Deno.test("SecretKey.fromFile refuses loose modes, other sizes, links and folders", () =>
  inTempDir(async (dir) => {
    const path = `${dir}/key`;
    await SecretKey.generate().toFile(path);
    const refused = async (what: string, wanted = path) => {
      const error = await assertRejects(
        () => SecretKey.fromFile(wanted),
        AuthError,
        undefined,
        what,
      );
      assertEquals(error.code, "ERR_FORBIDDEN");
    };
    for (const mode of [0o640, 0o604, 0o620, 0o660, 0o666, 0o610]) {
      await Deno.chmod(path, mode);
      await refused(mode.toString(8));
    }
    await Deno.chmod(path, 0o400);
    await SecretKey.fromFile(path);
    await Deno.symlink(path, `${dir}/link`);
    await refused("symlink", `${dir}/link`);
    await refused("folder", dir);
    for (const size of [0, 31, 33]) {
      await Deno.writeFile(`${dir}/size${size}`, new Uint8Array(size), { mode: 0o600 });
      await refused(`${size} bytes`, `${dir}/size${size}`);
    }
    await assertRejects(() => SecretKey.fromFile(`${dir}/none`), Deno.errors.NotFound);
  }));

Deno.test("SecretKey.fromPassphrase is scrypt over the channel name, for 16 characters or more", async () => {
  const phrase = "correct horse battery";
  const expected = scryptSync(phrase, "jobs", 32, { N: 131072, r: 8, p: 1, maxmem: 1 << 28 });
  const key = await SecretKey.fromPassphrase(phrase, { name: "jobs" });
  assertEquals(hex(secretBytes(key)), hex(expected));
  const other = await SecretKey.fromPassphrase(phrase, { name: "other" });
  assertNotEquals(hex(secretBytes(other)), hex(expected));
  await assertRejects(
    () => SecretKey.fromPassphrase("fifteen chars..", { name: "jobs" }),
    RangeError,
  );
});

Deno.test("SecretKey does not show its bytes, however it is looked at", () => {
  const bytes = new Uint8Array(32).map((_, i) => 65 + i);
  const key = SecretKey.fromBytes(bytes);
  const shown = [
    String(key),
    `${key}`,
    JSON.stringify({ key }),
    Deno.inspect(key, { depth: 9, showHidden: true }),
    Deno.inspect({ nested: [key] }),
    inspect(key, { depth: 9, showHidden: true }),
    JSON.stringify(structuredClone(Object.assign({}, key))),
    Object.getOwnPropertyNames(key).join(),
  ].join("\n");
  const forms = [
    hex(bytes),
    btoa(String.fromCharCode(...bytes)),
    String.fromCharCode(...bytes),
    bytes.join(","),
    bytes.join(", "),
  ];
  for (const form of forms) assert(!shown.includes(form.slice(0, 16)), form);
});

Deno.test("SecretKey overwrites its bytes when it is disposed", () => {
  const key = SecretKey.generate();
  key[Symbol.dispose]();
  assertEquals(secretBytes(key), new Uint8Array(32));
});

Deno.test("SecretKey.toFile leaves nothing behind when writing fails", async () => {
  await using dir = new TempDir();
  const { sync, write } = Deno.FsFile.prototype;
  const fail = () => Promise.reject(new Error("No space left on device"));
  for (const broken of [{ sync: fail }, { write: fail }]) {
    Object.assign(Deno.FsFile.prototype, broken);
    try {
      await assertRejects(() => SecretKey.generate().toFile(`${dir.path}/key`), Error, "No space");
    } finally {
      Object.assign(Deno.FsFile.prototype, { sync, write });
    }
    assertEquals([...Deno.readDirSync(dir.path)], []);
  }
});

Deno.test("SecretKey.fromFile refuses a file that was replaced while it was opened", async () => {
  await using dir = new TempDir();
  const path = `${dir.path}/key`;
  await SecretKey.generate().toFile(path);
  await SecretKey.generate().toFile(`${dir.path}/another`);
  const { open } = Deno;
  // Between the look at the file and its opening, a link to another key of this user takes its place.
  Deno.open = async (...args) => {
    await Deno.remove(path);
    await Deno.symlink(`${dir.path}/another`, path);
    return await open(...args);
  };
  try {
    const error = await assertRejects(() => SecretKey.fromFile(path), AuthError, "replaced");
    assertEquals(error.code, "ERR_FORBIDDEN");
  } finally {
    Deno.open = open;
  }
});
