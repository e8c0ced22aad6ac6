// The file transfer example, as two processes.
import { connect, lengthPrefixed, raw } from "@parley/parley";
import { assertEquals, assertMatch } from "@std/assert";
import { pattern, text, utf8 } from "../support/bytes.ts";
import { Program, runProgram } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

/** Around the size of a piece, and none at all. */
const SIZES = [0, 1, 65_535, 65_536, 65_537, 300_000, 4 * 2 ** 20];

Deno.test("file_transfer_client sends files of every size over one connection, and they arrive unchanged", async () => {
  await using source = new TempDir();
  await using target = new TempDir();
  await using server = new Program("examples/file_transfer_server.ts", ["0", target.path]);
  const port = `${await server.port()}`;
  const paths = SIZES.map((size) => `${source.path}/file-${size}.bin`);
  for (const [i, size] of SIZES.entries()) await Deno.writeFile(paths[i]!, pattern(size, i));

  const { code, stdout, stderr } = await runProgram("examples/file_transfer_client.ts", [
    port,
    ...paths,
  ]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(stdout.match(/"stored":\d+/g), SIZES.map((size) => `"stored":${size}`));
  for (const [i, size] of SIZES.entries()) {
    assertEquals(await Deno.readFile(`${target.path}/file-${size}.bin`), pattern(size, i));
  }
  assertEquals([...Deno.readDirSync(target.path)].length, SIZES.length);
});

Deno.test("file_transfer_server takes up messages right behind the last byte of a file that came in the same read", async () => {
  await using target = new TempDir();
  await using server = new Program("examples/file_transfer_server.ts", ["0", target.path]);
  await using conn = await connect({ port: await server.port() });
  for (const name of ["a.txt", "b.txt"]) {
    void conn.send(JSON.stringify({ name, size: 5 }));
    conn.setFraming(raw());
    void conn.send("hello");
    conn.setFraming(lengthPrefixed());
    const sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    void conn.send(JSON.stringify({ sha256 }));
  }
  assertMatch(text((await conn.receive())!), /"stored":5/);
  assertMatch(text((await conn.receive())!), /"stored":5/);
  assertEquals(await Deno.readTextFile(`${target.path}/b.txt`), "hello");
});

Deno.test("file_transfer_server keeps nothing of a file that is cut short, has a wrong hash or a name outside its folder", async () => {
  await using target = new TempDir();
  await using server = new Program("examples/file_transfer_server.ts", ["0", `${target.path}/in`]);
  const port = await server.port();
  const send = async (header: unknown, body: string, sha256: string | null) => {
    await using conn = await connect({ port });
    await conn.send(JSON.stringify(header));
    conn.setFraming(raw());
    await conn.send(body);
    conn.setFraming(lengthPrefixed());
    if (sha256 !== null) await conn.send(JSON.stringify({ sha256 }));
    await conn.closeWrite();
    return await conn.receive();
  };
  assertEquals(await send({ name: "cut", size: 100 }, "only this", null), null);
  assertEquals(
    await send({ name: "wrong", size: 3 }, "abc", "0"),
    utf8(`{"error":"The hash is wrong: send it again"}`),
  );
  for (const name of ["../up", "a/b", "", ".hidden", 5]) {
    assertEquals(await send({ name, size: 3 }, "abc", null), null);
  }
  assertEquals(await send({ name: "huge", size: 2 ** 50 }, "abc", null), null);
  await server.said(/no plain file name[^]*out of range/);
  assertEquals([...Deno.readDirSync(target.path)].map((entry) => entry.name), ["in"]);
  assertEquals([...Deno.readDirSync(`${target.path}/in`)], []);
});
