// The examples of the wire, each side a process of its own.
import { assertEquals } from "@std/assert";
import { file, Program, runProgram } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { until } from "../support/wait.ts";

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].join();
}

Deno.test("wire_server calls wire_client, which only ever connects out, and does again after a restart", async () => {
  await using client = await (async () => {
    await using server = new Program("examples/wire_server.ts", ["0"]);
    const port = await server.port();
    const client = new Program("examples/wire_client.ts", [`${port}`, "sensor-9"]);
    await server.printed(/sensor-9 says 21\.5 °C/);
    server.kill("SIGKILL");
    await client.printed(/No server/);
    await using again = new Program("examples/wire_server.ts", [`${port}`]);
    await again.printed(/sensor-9 says 21\.5 °C/);
    return client;
  })();
  assertEquals(client.stderr, "");
});

Deno.test("wire_server and wire_client take twenty lines each, without their comments", async () => {
  for (const name of ["examples/wire_server.ts", "examples/wire_client.ts"]) {
    const lines = (await Deno.readTextFile(file(name))).split("\n");
    const code = lines.filter((line) => line.trim() !== "" && !line.startsWith("//"));
    assertEquals([name, code.length <= 20], [name, true]);
  }
});

Deno.test("wire_backup_client sends files that wire_backup_server keeps, byte for byte", async () => {
  await using folder = new TempDir();
  const large = crypto.getRandomValues(new Uint8Array(50_000));
  const name = `${folder.path}/large.bin`;
  await Deno.writeFile(
    name,
    new Uint8Array(3_000_000).map((_, index) => large[index % 49_999] ?? 0),
  );
  await using server = new Program("examples/wire_backup_server.ts", ["0", `${folder.path}/kept`]);
  const port = await server.port();
  const client = await runProgram("examples/wire_backup_client.ts", [
    `${port}`,
    "laptop",
    file("LICENSE"),
    name,
  ]);
  assertEquals([client.stderr, client.code], ["", 0]);
  assertEquals(client.stdout.endsWith("All kept\n"), true);
  for (const path of [file("LICENSE"), name]) {
    const kept = await Deno.readFile(`${folder.path}/kept/laptop/${path.replace(/^.*[\\/]/, "")}`);
    assertEquals([path, await digest(kept) === await digest(await Deno.readFile(path))], [
      path,
      true,
    ]);
  }
});

Deno.test("wire_chat brings lines through wire_hub to everybody else", async () => {
  await using folder = new TempDir();
  await Deno.writeTextFile(`${folder.path}/tokens.txt`, "alice a-secret\nbob b-secret\n");
  await using server = new Program("examples/wire_hub.ts", ["0", `${folder.path}/tokens.txt`]);
  const port = await server.port();
  await using bob = new Program("examples/wire_chat.ts", [`${port}`, "bob"], {
    env: { TOKEN: "b-secret" },
    keepStdin: true,
  });
  await server.printed(/bob joined/);
  await using alice = new Program("examples/wire_chat.ts", [`${port}`, "alice"], {
    env: { TOKEN: "a-secret" },
    keepStdin: true,
  });
  await alice.printed(/Here: bob/);
  await alice.type("hello, world\n");
  await bob.printed(/alice: hello, world/);
  const thief = await runProgram("examples/wire_chat.ts", [`${port}`, "bob"], {
    env: { TOKEN: "guess" },
  });
  assertEquals(thief.stdout.includes("Here"), false);
  assertEquals([...server.stdout.matchAll(/joined/g)].length, 2);
});

Deno.test("wire_expose and wire_forward bring a web page through wire_hub, and heal", async () => {
  await using folder = new TempDir();
  await Deno.writeTextFile(`${folder.path}/tokens.txt`, "office o-secret\nhome h-secret\n");
  await using web = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response("It works"),
  );
  await using server = new Program("examples/wire_hub.ts", ["0", `${folder.path}/tokens.txt`]);
  const port = `${await server.port()}`;
  const expose = () =>
    new Program("examples/wire_expose.ts", [port, "office", "web", `${web.addr.port}`], {
      env: { TOKEN: "o-secret" },
    });
  await using home = new Program("examples/wire_forward.ts", [port, "home", "office", "web", "0"], {
    env: { TOKEN: "h-secret" },
  });
  const local = await home.port();
  const get = () =>
    fetch(`http://127.0.0.1:${local}/`).then((response) => response.text(), () => "");
  {
    await using office = expose();
    await office.printed(/Joined/);
    assertEquals(await get(), "It works");
  }
  assertEquals(await get(), "");
  await using office = expose();
  await office.printed(/Joined/);
  await until("the page is there again", async () => await get() === "It works");
});
