// Tests of parley hub, expose and forward, as processes that work together.
import { createServer } from "node:tls";
import type { AddressInfo } from "node:net";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect } from "../../../client.ts";
import { raw } from "../../../framing.ts";
import { serve } from "../../../server.ts";
import { createCa, createCertificate, writeIdentity } from "../../../tls/mod.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import { Program, runProgram } from "../../support/programs/program.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";
import { settles, until } from "../../support/wait.ts";
import { join } from "../../../wire/mod.ts";

const noSignals = Deno.build.os === "windows";

const TOKENS = {
  home: "the-token-of-home",
  office: "the-token-of-office",
  shop: "the-token-of-shop",
};
type Identity = keyof typeof TOKENS;

/** The hub, and files that say who may join and do what. */
class Files {
  readonly path: string;

  constructor(folder: TempDir) {
    this.path = folder.path;
  }

  writeTokens(...identities: Identity[]): void {
    const lines = identities.map((identity) => `${identity} ${TOKENS[identity]}\n`);
    this.#replace("tokens", lines.join(""));
  }

  writeRules(...rules: string[]): void {
    this.#replace("rules", rules.map((rule) => `${rule}\n`).join(""));
  }

  /** In one step: the hub may look at any time. */
  #replace(name: string, text: string): void {
    Deno.writeTextFileSync(`${this.path}/next`, text, { mode: 0o600 });
    Deno.renameSync(`${this.path}/next`, `${this.path}/${name}`);
  }
}

async function portOf(program: Program): Promise<number> {
  return Number((await program.said(/^listening on .*:(\d+)$/m))[1]);
}

function client(
  command: string,
  hub: number | string,
  as: Identity,
  rest: readonly string[],
): Program {
  const args = [command, String(hub), ...rest, "--identity", as];
  return new Program(PARLEY_MAIN, args, { env: { PARLEY_TOKEN: TOKENS[as] } });
}

/** Answers the whole of what comes, once it has ended, in upper case. */
function serveUpper(path: string) {
  return serve({ path, framing: raw() }, async (connection) => {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of connection) text += decoder.decode(chunk, { stream: true });
    await connection.send(text.toUpperCase());
  });
}

async function upperThrough(path: string, text: string): Promise<string> {
  await using connection = await connect({ path, framing: raw() });
  await connection.send(text);
  await connection.closeWrite();
  const decoder = new TextDecoder();
  let answer = "";
  for await (const chunk of connection) answer += decoder.decode(chunk, { stream: true });
  return answer;
}

/** A web server: `/big` is a megabyte, `/slow` ends on a command. */
function serveWeb(finish: Promise<void>) {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    if (request.url.endsWith("/big")) return new Response("x".repeat(2 ** 20));
    const body = async function* () {
      yield new TextEncoder().encode("begun, ");
      await finish;
      yield new TextEncoder().encode("ended");
    };
    return new Response(ReadableStream.from(body()));
  });
}

type Get = (path: string) => Promise<Response>;

async function checkRules(files: Files, hub: Program, toWeb: Program, get: Get): Promise<void> {
  // A rule that is gone holds for the next stream.
  files.writeRules("home shop tcp:*");
  hub.kill("SIGHUP");
  await hub.said(/read anew/);
  await assertRejects(() => get("/big"));
  await toWeb.said(/not brought through.*--allow 'home:office:tcp:web'/);
  files.writeRules("home office tcp:web", "home shop tcp:*");
  hub.kill("SIGHUP");
  await until("the rule is back", () => hub.stderr.match(/read anew/g)?.length === 2);
}

async function checkDrain(toWeb: Program, get: Get, finishSlow: () => void): Promise<void> {
  // SIGINT lets what is under way come to its end.
  const slow = await get("/slow");
  toWeb.kill("SIGINT");
  await toWeb.said(/draining 1 connection/);
  await assertRejects(() => get("/big"));
  finishSlow();
  assertEquals(await slow.text(), "begun, ended");
  assertEquals((await toWeb.finish()).code, 0, toWeb.stderr);
  assertEquals(toWeb.stdout.split("\n").slice(0, 2).map((line) => JSON.parse(line).event).sort(), [
    "connected",
    "listening",
  ]);
}

/** Another hub takes the place of the one that is gone: at the same address it is found again. */
async function checkHealing(
  hubArgs: readonly string[],
  toUpper: Program,
  shop: Program,
  local: string,
): Promise<void> {
  await using again = new Program(PARLEY_MAIN, hubArgs);
  await again.said(/listening on unix:/);
  await until(
    "both are back",
    () =>
      [toUpper, shop].every(({ stderr }) => stderr.match(/Connected to the hub/g)?.length === 2),
  );
  assertEquals(await upperThrough(local, "healed"), "HEALED");
  for (const program of [toUpper, shop, again]) {
    program.kill("SIGINT");
    const { code, stderr } = await settles("its end", program.finish());
    assertEquals(code, 0, stderr);
  }
}

Deno.test({
  name:
    "parley hub, expose and forward carry HTTP and half-closed connections, follow their files, heal, and drain on SIGINT",
  ignore: noSignals,
  async fn() {
    await using folder = new TempDir();
    const files = new Files(folder);
    files.writeTokens("home", "office", "shop");
    files.writeRules("home office tcp:web", "home shop tcp:*");
    const { promise: finish, resolve: finishSlow } = Promise.withResolvers<void>();
    await using web = serveWeb(finish);
    await using upper = serveUpper(`${folder.path}/upper.sock`);
    await upper.ready;

    // A path is free again after a restart; a port may go to another program.
    const hubAt = `unix:${folder.path}/hub.sock`;
    const hubArgs = ["--tokens", `${folder.path}/tokens`, "--rules", `${folder.path}/rules`];
    await using hub = new Program(PARLEY_MAIN, [
      "hub",
      hubAt,
      ...hubArgs,
      "--json",
      "--stats",
      "0",
    ]);
    await hub.said(/listening on unix:/);
    await using office = client("expose", hubAt, "office", ["web", String(web.addr.port)]);
    await using shop = client("expose", hubAt, "shop", ["upper", `unix:${folder.path}/upper.sock`]);
    const local = `${folder.path}/local.sock`;
    const wrong = runProgram(PARLEY_MAIN, ["forward", hubAt, "office/web", "--identity", "home"], {
      env: { PARLEY_TOKEN: TOKENS.office },
    });
    await Promise.all([office.said(/Connected to the hub/), shop.said(/Connected to the hub/)]);
    await using toWeb = client("forward", hubAt, "home", ["office/web", "--json"]);
    const webUrl = `http://127.0.0.1:${await portOf(toWeb)}`;
    using http = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    const get = (path: string) =>
      fetch(webUrl + path, { client: http, headers: { connection: "close" } });

    assertEquals(await (await get("/big")).text(), "x".repeat(2 ** 20));
    const [, statsUrl = ""] = await hub.said(/^statistics on (http:.*)$/m);
    const metrics = await (await fetch(`${statsUrl}metrics`, { client: http })).text();
    assertMatch(metrics, /^parley_handshake_duration_seconds_count\{kind="wire",name="hub"\} 3$/m);
    const refused = await wrong;
    assertEquals(refused.code, 1, refused.stderr);
    assertMatch(refused.stderr, /refused the session.*\nHint: check that the token/);
    await hub.said(/Client refused.*identity=home/);

    await checkRules(files, hub, toWeb, get);
    await checkDrain(toWeb, get, finishSlow);

    // The name is free again: a second one of the same identity, over unix sockets.
    await using toUpper = client("forward", hubAt, "home", ["shop/upper", `unix:${local}`]);
    await toUpper.said(/listening on unix:/);
    assertEquals(await upperThrough(local, "half-closed"), "HALF-CLOSED");

    // Without its token a client is sent away, and does not come back.
    files.writeTokens("home", "shop");
    hub.kill("SIGHUP");
    const { code, stderr } = await settles("the end of expose", office.finish());
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /refused the session/);

    hub.kill("SIGTERM");
    assertEquals((await settles("the end of the hub", hub.finish())).code, 0, hub.stderr);
    const events = hub.stdout.trim().split("\n").map((line) => JSON.parse(line));
    assert(events.some(({ event, identity }) => event === "joined" && identity === "shop"));
    await toUpper.said(/trying again in.*nothing listens there/);
    await checkHealing(["hub", hubAt, ...hubArgs], toUpper, shop, local);
    await assertRejects(() => Deno.stat(local), Deno.errors.NotFound);
  },
});

Deno.test({
  name:
    "parley hub reads a changed file of tokens anew by itself, and keeps the old one while it cannot be used",
  ignore: noSignals, // no such modes there either
  async fn() {
    await using folder = new TempDir();
    const files = new Files(folder);
    files.writeTokens("home");
    const tokens = `${folder.path}/tokens`;
    await using hub = new Program(PARLEY_MAIN, [
      "hub",
      "0",
      "--tokens",
      tokens,
      "--allow",
      "*:*:*",
    ]);
    const port = await portOf(hub);
    await Deno.chmod(tokens, 0o644);
    hub.kill("SIGHUP");
    await hub.said(/cannot be used; the old ones hold.*mode must be 0600/);
    await using home = client("expose", port, "home", ["web", "1"]);
    await home.said(/Connected to the hub/);
    await Deno.chmod(tokens, 0o600);
    files.writeTokens("home", "shop");
    await hub.said(/read anew/);
    const bare = await runProgram(PARLEY_MAIN, [
      "expose",
      String(port),
      "web",
      "1",
      "--identity",
      "shop",
    ]);
    assertEquals(bare.code, 2, bare.stderr);
    assertMatch(bare.stderr, /The token is missing: the hub wants one/);
    const early = await runProgram(PARLEY_MAIN, ["hub", String(port), "--tokens", tokens]);
    assertEquals(early.code, 1);
    assertMatch(early.stderr, /parley hub: .*\nHint: another program listens there/);
    assertEquals(
      hub.stderr.match(/identity=home/g)?.length,
      1,
      "the log says once that a client joined",
    );
  },
});

Deno.test({
  name:
    "parley expose and forward tell why there is no link, and end with 1 where they are not to try again",
  ignore: noSignals,
  async fn() {
    await using folder = new TempDir();
    const now = new Date(Date.now() - 10 * 86400e3);
    const ca = await createCa({ now });
    const expired = await createCertificate({ ca, hosts: ["127.0.0.1"], days: 1, now });
    await Deno.writeTextFile(`${folder.path}/ca.pem`, ca.cert);
    const identity = { certFile: `${folder.path}/hub.pem`, keyFile: `${folder.path}/hub.key` };
    await writeIdentity({ ...expired, ...identity });
    const { promise: listening, resolve } = Promise.withResolvers<number>();
    const server = createServer({ cert: expired.cert, key: expired.key });
    server.on("tlsClientError", () => {});
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
    const tls = ["--ca", `${folder.path}/ca.pem`];
    const expiredHub = `127.0.0.1:${await listening}`;
    try {
      await using trying = client("forward", 1, "home", ["office/web"]);
      const env = { PARLEY_TOKEN: TOKENS.home };
      const [old, missing, own, once] = await Promise.all([
        runProgram(PARLEY_MAIN, [
          ...["expose", expiredHub, "web", "80", "--identity", "home", "--no-reconnect"],
          ...tls,
        ], { env }),
        runProgram(PARLEY_MAIN, [
          ...[
            "expose",
            expiredHub,
            "web",
            "80",
            "--identity",
            "home",
            "--ca",
            `${folder.path}/none.pem`,
          ],
        ], { env }),
        runProgram(PARLEY_MAIN, [
          "hub",
          "0",
          "--cert",
          identity.certFile,
          "--key",
          identity.keyFile,
        ], {
          env,
        }),
        runProgram(PARLEY_MAIN, [
          "forward",
          "1",
          "office/web",
          "--identity",
          "home",
          "--no-reconnect",
        ], {
          env,
        }),
      ]);
      assertEquals([old.code, missing.code, own.code, once.code], [1, 1, 1, 1]);
      assertMatch(old.stderr, /parley expose: .*expired.*\nHint: see its dates/i);
      assertMatch(missing.stderr, /none\.pem.*\nHint: check that the path is right/);
      assertMatch(own.stderr, /parley hub: .*\nHint: see its dates/);
      assertMatch(once.stderr, /parley forward: .*\nHint: nothing listens there/);
      await trying.said(/trying again in[^\n]*attempt=1[^\n]*nothing listens[^]*attempt=2/);
      trying.kill("SIGINT");
      assertEquals((await settles("the end of forward", trying.finish())).code, 0);
    } finally {
      const { promise: closed, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      await closed;
    }
  },
});

Deno.test({
  name:
    "parley hub writes some lines of clients that come and go all the time, then how many it left out",
  ignore: noSignals,
  async fn() {
    const token = TOKENS.home;
    await using hub = new Program(PARLEY_MAIN, ["hub", "0", "--allow", "*:*:*"], {
      env: { PARLEY_TOKEN: token },
    });
    const port = await portOf(hub);
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    for (let i = 0; i < 60; i++) {
      const wire = join({ port, identity: `client-${i % 7}`, token, logger, reconnect: false });
      await wire.ready;
      await wire.close();
    }
    hub.kill("SIGINT");
    const { code, stderr } = await hub.finish();
    assertEquals(code, 0, stderr);
    assertEquals(stderr.match(/ Joined /g)?.length, 10, stderr);
    assertMatch(stderr, /Lines were left out .*line=Joined leftOut=50/);
    assertMatch(stderr, /Lines were left out .*line=Left leftOut=50/);
  },
});
