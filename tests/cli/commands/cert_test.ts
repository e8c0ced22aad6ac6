// Tests of parley cert and parley keygen: files that only their owner reads, and what is printed
// about certificates.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { SecretKey } from "../../../ipc/mod.ts";
import { serve } from "../../../server.ts";
import { createCa, createCertificate, writeIdentity } from "../../../tls/mod.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import { type ProgramResult, runProgram } from "../../support/programs/program.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";

function parleyIn(folder: TempDir): (...args: string[]) => Promise<ProgramResult> {
  return (...args) => runProgram(PARLEY_MAIN, args, { cwd: folder.path });
}

/** Permission bits; `null` where there are none. */
async function modeOf(path: string): Promise<number | null> {
  const { mode } = await Deno.stat(path);
  return mode === null || Deno.build.os === "windows" ? null : mode & 0o777;
}

Deno.test("parley cert makes certificates that work, readable by their owner only, and replaces none by accident", async () => {
  await using folder = new TempDir();
  const parley = parleyIn(folder);
  const missing = await parley("cert", "server", "localhost");
  assertEquals(missing.code, 1);
  assertMatch(
    missing.stderr,
    /Cannot read "ca\.pem": there is no such file: make an authority with "parley cert ca"[^\n]*\n$/,
  );
  const ca = await parley("cert", "ca", "--name", "Example CA", "--days", "30");
  assertEquals(ca.code, 0, ca.stderr);
  assertMatch(
    ca.stdout,
    /^Subject: {4}CN=Example CA\n[^]*\nFiles: {6}ca\.pem, ca\.key \(keep it secret\)\n$/,
  );
  const [server, client, again, beyond, wrong] = await Promise.all([
    parley("cert", "server", "localhost", "127.0.0.1", "--json"),
    parley("cert", "client", "agent-7", "--out", "agent"),
    parley("cert", "ca"),
    parley("cert", "server", "localhost", "--days", "31", "--out", "beyond"),
    parley("cert", "server", "no host", "--out", "wrong"),
  ]);
  assertEquals(server.code, 0, server.stderr);
  const told = JSON.parse(server.stdout);
  assertEquals(told.names, ["DNS:localhost", "IP Address:127.0.0.1"]);
  assertEquals([told.certFile, told.keyFile, told.issuer], [
    "server.pem",
    "server.key",
    "CN=Example CA",
  ]);
  assertMatch(client.stdout, /^Subject: {4}CN=agent-7\n[^]*\nUse: {8}client\n/);
  assertEquals(again.code, 1);
  assertMatch(again.stderr, /"ca\.pem" or "ca\.key" is there already: use --force, or --out/);
  assertEquals([beyond.code, wrong.code], [2, 2]);
  assertMatch(beyond.stderr, /its authority has 29 days left/);
  assertMatch(wrong.stderr, /must be a DNS name or an IP address, current value is "no host"/);
  for (const name of ["ca", "server", "agent"]) {
    const mode = await modeOf(`${folder.path}/${name}.key`);
    assert(mode === null || mode === 0o600, `${name}.key has mode ${mode?.toString(8)}`);
  }
  const before = await Deno.readTextFile(`${folder.path}/ca.key`);
  assertEquals((await parley("cert", "ca", "--force")).code, 0);
  assert(before !== await Deno.readTextFile(`${folder.path}/ca.key`));
  // The key of another authority now: nothing may be signed with the old certificate.
  await Deno.writeTextFile(`${folder.path}/ca.key`, before);
  const mixed = await parley("cert", "client", "other", "--out", "other");
  assertEquals(mixed.code, 1);
  assertMatch(mixed.stderr, /made with another one\nHint: /);
});

Deno.test("parley cert show tells whether a certificate is in time, and fits key, authority and host", async () => {
  await using folder = new TempDir();
  const parley = parleyIn(folder);
  const past = new Date(Date.now() - 100.5 * 86_400_000);
  const [ca, oldCa] = [await createCa(), await createCa({ now: past })];
  const good = await createCertificate({ ca, hosts: ["localhost"], days: 30 });
  const old = await createCertificate({ ca: oldCa, hosts: ["localhost"], now: past, days: 10 });
  const write = (name: string, { cert, key }: { cert: string; key: string }) => {
    const path = `${folder.path}/${name}`;
    return writeIdentity({ cert, key, certFile: `${path}.pem`, keyFile: `${path}.key` });
  };
  await Promise.all([write("ca", ca), write("good", good), write("old", old)]);
  await using server = serve({ tls: good }, () => {});
  await using plain = serve((connection) => connection.abort());
  await Promise.all([server.ready, plain.ready]);
  assert(server.addr.transport === "tcp" && plain.addr.transport === "tcp");
  const address = `localhost:${server.addr.port}`;
  const show = (...args: string[]) => parley("cert", "show", ...args);
  const cases: [Promise<ProgramResult>, number, RegExp, RegExp][] = [
    [
      show("good.pem", "--key", "good.key", "--ca", "ca.pem", "--server-name", "localhost"),
      0,
      /Days left: {2}29\n[^]*SHA-256: {4}[0-9a-f]{64}\nOwn key: {4}yes, by good\.key\nSigned: {5}yes, by ca\.pem\nFor host: {3}yes, localhost\n$/,
      /^$/,
    ],
    [
      show("old.pem", "--key", "good.key", "--ca", "ca.pem", "--server-name", "a.example"),
      1,
      /Days left: {2}none, it expired 90 days ago\n[^]*Own key: {4}NO, by good\.key\nSigned: {5}NO, by ca\.pem\nFor host: {3}NO, a\.example\n$/,
      /expired at [^]*made with another one\nHint: [^]*none of the valid authorities signed it[^]*not for that host/,
    ],
    [show("none.pem"), 1, /^$/, /There is no file "none\.pem", and it is no address\nHint: /],
    [
      show(address, "--ca", "ca.pem"),
      0,
      /Signed: {5}yes[^]*For host: {3}yes, localhost\nProtocol: {3}TLSv1\.[23]\n$/,
      /^$/,
    ],
    [
      show(address, "--server-name", "b.example"),
      1,
      /For host: {3}NO, b\.example\n/,
      /not for that host/,
    ],
    [show(String(plain.addr.port)), 1, /^$/, /TLS.*\nHint: /],
  ];
  await Promise.all(cases.map(([running]) => running));
  for (const [running, code, stdout, stderr] of cases) {
    const result = await running;
    assertEquals(result.code, code, result.stderr);
    assertMatch(result.stdout, stdout);
    assertMatch(result.stderr, stderr);
  }
  const json = JSON.parse(
    (await show("old.pem", "--key", "old.key", "--ca", "ca.pem", "--json")).stdout,
  );
  assertEquals([json.subject, json.daysLeft, json.keyMatches, json.signed], [
    "CN=localhost",
    -91,
    true,
    "no",
  ]);
  assertEquals(json.faults.map(({ code }: { code: string }) => code), [
    "ERR_CERT_EXPIRED",
    "ERR_CERT_UNTRUSTED",
  ]);
});

Deno.test("parley keygen makes secrets and tokens that only their owner can read, and never replaces one", async () => {
  await using folder = new TempDir();
  const parley = parleyIn(folder);
  const path = (name: string) => `${folder.path}/${name}`;
  const [secret, token, shown, nothing, unwanted] = await Promise.all([
    parley("keygen", "secret", "channel.key"),
    parley("keygen", "token", "hub.token"),
    parley("keygen", "token"),
    parley("keygen", "secret"),
    parley("keygen", "password"),
  ]);
  assertEquals([secret.code, token.code, secret.stdout, token.stdout], [0, 0, "", ""]);
  assertMatch(secret.stderr, /^wrote a new secret to channel\.key;/);
  await SecretKey.fromFile(path("channel.key"));
  assertMatch(await Deno.readTextFile(path("hub.token")), /^[\w-]{43}\n$/);
  assertMatch(shown.stdout, /^[\w-]{43}\n$/);
  assertEquals([nothing.code, unwanted.code], [2, 2]);
  for (const name of ["channel.key", "hub.token"]) {
    const mode = await modeOf(path(name));
    assert(mode === null || mode === 0o600, `${name} has mode ${mode?.toString(8)}`);
  }
  const before = await Deno.readFile(path("channel.key"));
  const [secondSecret, secondToken] = await Promise.all([
    parley("keygen", "secret", "channel.key"),
    parley("keygen", "token", "hub.token"),
  ]);
  assertEquals([secondSecret.code, secondToken.code], [1, 1]);
  assertMatch(secondSecret.stderr, /"channel\.key" is there already/);
  assertEquals(await Deno.readFile(path("channel.key")), before);
  const names = [...Deno.readDirSync(folder.path)].map((entry) => entry.name).sort();
  assertEquals(names, ["channel.key", "hub.token"]);
});
