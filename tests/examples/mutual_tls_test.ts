// The mutual TLS example, as processes with certificates of their own.
import { createCa, createCertificate, writeIdentity } from "@parley/parley/tls";
import { assertEquals, assertMatch } from "@std/assert";
import { Program, runProgram } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

Deno.test("mutual_tls_server makes certificates, knows its client by name, and uses them again after a restart", async () => {
  await using folder = new TempDir();
  const certificates = `${folder.path}/certificates`;
  for (let start = 0; start < 2; start++) {
    await using server = new Program("examples/mutual_tls_server.ts", ["0", certificates]);
    const args = [`${await server.port()}`, certificates, "Good evening"];
    const client = await runProgram("examples/mutual_tls_client.ts", args);
    assertEquals(client, { code: 0, stdout: "CN=agent-7 said: Good evening\n", stderr: "" });
  }
});

Deno.test("mutual_tls_server refuses a client whose certificate is of another authority, and serves the right one on", async () => {
  await using folder = new TempDir();
  const right = `${folder.path}/right`;
  const wrong = `${folder.path}/wrong`;
  await using server = new Program("examples/mutual_tls_server.ts", ["0", right]);
  const port = `${await server.port()}`;

  await Deno.mkdir(wrong);
  const ca = await createCa();
  const stranger = await createCertificate({ ca, client: true, name: "agent-7" });
  await writeIdentity({
    ...stranger,
    certFile: `${wrong}/client.pem`,
    keyFile: `${wrong}/client.key`,
  });
  await Deno.copyFile(`${right}/ca.pem`, `${wrong}/ca.pem`);
  const refused = await runProgram("examples/mutual_tls_client.ts", [port, wrong, "Let me in"]);
  assertEquals({ code: refused.code, stdout: refused.stdout }, { code: 1, stdout: "" });
  await server.said(/^handshake: /m);

  const welcome = await runProgram("examples/mutual_tls_client.ts", [port, right]);
  assertEquals(welcome.stdout, "CN=agent-7 said: Good morning\n");
});

Deno.test("mutual_tls_client refuses a server of another authority before it says anything", async () => {
  await using folder = new TempDir();
  const right = `${folder.path}/right`;
  await using server = new Program("examples/mutual_tls_server.ts", ["0", right]);
  const port = `${await server.port()}`;
  await Deno.mkdir(`${folder.path}/wrong`);
  for (const name of ["client.pem", "client.key"]) {
    await Deno.copyFile(`${right}/${name}`, `${folder.path}/wrong/${name}`);
  }
  await Deno.writeTextFile(`${folder.path}/wrong/ca.pem`, (await createCa()).cert);
  const client = await runProgram("examples/mutual_tls_client.ts", [port, `${folder.path}/wrong`]);
  assertEquals(client.code, 1);
  assertMatch(client.stderr, /^ERR_CERT_UNTRUSTED: /);
});
