// Servers behind nginx and HAProxy, with the configurations of docs/operations.md: checks, real
// addresses, restarts.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Address, connect, type Connection, delimited } from "@parley/parley";
import { testCerts } from "../support/programs/certs.ts";
import { Balancer, type BalancerKind, documentedConfig } from "../support/programs/balancers.ts";
import { text } from "../support/bytes.ts";
import { PARLEY_MAIN } from "../support/programs/parley_program.ts";
import { Program, runProgram } from "../support/programs/program.ts";
import { started, type TestServer } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";

const CLIENTS = 50;

/** How long checks come, in ms; more on demand. */
const CHECK_MS = Number(Deno.env.get("PARLEY_BALANCER_MS") ?? 10_000);

/** Time between two checks of one server, in ms. */
const CHECK_EVERY_MS = 200;

/** Time between "not ready" and the drain of a server that HAProxy watches: its checks come every 500 ms. */
const DRAIN_DELAY_MS = 1500;

const lines = { framing: delimited("\n") } as const;

function portOf({ server }: TestServer): number {
  return (server.addr as Deno.NetAddr).port;
}

/** Connects and leaves, as the check of a balancer, a kubelet or a monitor does. */
async function probe(port: number): Promise<void> {
  (await Deno.connect({ port })).close();
}

/** Probes ports again and again, until it is ended. */
function probing(ports: readonly number[]): () => void {
  const timer = setInterval(() => {
    for (const port of ports) probe(port).catch(() => {});
  }, CHECK_EVERY_MS);
  return () => clearInterval(timer);
}

/** Waits in a test in which time itself is the point. */
function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** HAProxy's own checks of the port in place of those of `/readyz`, more often. */
function plainChecks(kind: BalancerKind): (config: string) => string {
  if (kind === "nginx") return (config) => config;
  return (config) =>
    config.replace(/^.*(?:httpchk|http-check).*\n/gm, "").replace(
      "inter 500ms",
      `inter ${CHECK_EVERY_MS}ms`,
    );
}

for (const kind of ["haproxy", "nginx"] as const) {
  // Both versions of the header: before plain messages, and before a handshake.
  const secure = kind === "haproxy";
  Deno.test(`serve() behind ${kind} keeps fifty clients beside checks every 200 ms, and knows their addresses`, async () => {
    const { ca, server: tls } = await testCerts();
    const options = {
      proxyProtocol: { sources: ["127.0.0.1"] },
      // All clients, and the checks, come from one address: it must not be shut out.
      limitLoopback: true,
      maxPendingPerSource: CLIENTS + 16,
      ...secure && { tls },
    };
    await using a = await started(options);
    await using b = await started(options);
    await using balancer = await Balancer.start(
      kind,
      [{ port: portOf(a) }, { port: portOf(b) }],
      plainChecks(kind),
    );
    const dial = () =>
      connect({
        ...lines,
        hostname: "127.0.0.1",
        port: balancer.port,
        ...secure && { tls: { caCerts: [ca.cert] } },
      });
    // nginx has no checks of its own: others' come to it and to the servers, as those of HAProxy do.
    const endChecks = probing([balancer.port, portOf(a), portOf(b)]);
    const clients = await Promise.all(Array.from({ length: CLIENTS }, dial));
    try {
      const end = performance.now() + CHECK_MS;
      for (let round = 0; performance.now() < end; round++) {
        await Promise.all(clients.map((client) => asked(client, `question ${round}`)));
        // Who comes in the midst of it is served as well.
        const newcomer = await dial();
        await asked(newcomer, "hello");
        await newcomer.close();
        await pass(50);
      }
      const known = [...a.server.connections.values(), ...b.server.connections.values()];
      const told = new Set(known.map(({ remoteAddr }) => shown(remoteAddr)));
      for (const { localAddr } of clients) {
        assert(told.has(shown(localAddr)), `${shown(localAddr)} is unknown`);
      }
      for (const { server } of [a, b]) assertEquals(server.stats().overall.connectionsRefused, 0);
      for (const { server } of [a, b]) {
        assert(server.connections.size > 0, "one server has no clients");
      }
    } finally {
      endChecks();
      for (const client of clients) client.abort();
    }
  });
}

function shown(address: Address): string {
  assert(address.transport === "tcp");
  return `${address.hostname}:${address.port}`;
}

async function asked(client: Connection, question: string): Promise<void> {
  await client.send(question);
  const answer = await settles("an answer", client.receive());
  assert(answer !== null, "the connection has ended");
  assertEquals(text(answer), question);
}

/** What came of the questions of all clients. */
interface Tally {
  answered: number;
  askedAgain: number;
}

/**
 * A client that asks without pause, and again on a new connection when the old one ends without an
 * answer.
 */
async function askWithoutPause(
  name: number,
  port: number,
  tally: Tally,
  isOver: () => boolean,
): Promise<void> {
  let client: Connection | null = null;
  for (let number = 0; !isOver(); number++) {
    const question = `${name}.${number}`;
    for (let answer: string | null = null; answer === null;) {
      client ??= await connect({ ...lines, hostname: "127.0.0.1", port });
      answer = await ask(client, question);
      if (answer === null) {
        tally.askedAgain++;
        client.abort();
        client = null;
      } else {
        assertEquals(answer.split(" ")[1], question);
        tally.answered++;
      }
    }
  }
  await client?.close();
}

/** The answer, or `null` when the connection ended without one. */
async function ask(client: Connection, question: string): Promise<string | null> {
  try {
    await client.send(question);
    const answer = await settles("an answer or the end", client.receive());
    return answer === null ? null : text(answer);
  } catch {
    return null;
  }
}

/** A server of a process of its own. */
async function startServer(port = 0, statsPort = 0, drainDelayMs = 0) {
  const args = [port, statsPort, drainDelayMs].map(String);
  const program = new Program("tests/balancers/server_program.ts", args);
  const [, listening, stats] = await program.printed(/port: (\d+) stats: (\d+) /);
  return { program, port: Number(listening), statsPort: Number(stats) };
}

for (const kind of ["haproxy", "nginx"] as const) {
  Deno.test(`serve() behind ${kind} is restarted, one server after the other, and fifty clients that ask without pause lose no question`, async () => {
    const delayMs = kind === "haproxy" ? DRAIN_DELAY_MS : 0;
    const servers = await Promise.all([startServer(0, 0, delayMs), startServer(0, 0, delayMs)]);
    const tally: Tally = { answered: 0, askedAgain: 0 };
    let answeredByServers = 0;
    try {
      await using balancer = await Balancer.start(kind, [servers[0]!, servers[1]!]);
      let isOver = false;
      const asking = Promise.all(
        Array.from(
          { length: CLIENTS },
          (_, name) => askWithoutPause(name, balancer.port, tally, () => isOver),
        ),
      );
      asking.catch(() => isOver = true);
      for (const [index, { program, port, statsPort }] of servers.entries()) {
        const before = tally.answered;
        await until(
          "many questions are answered",
          () => isOver || tally.answered > before + 20 * CLIENTS,
        );
        program.kill("SIGTERM");
        const { code, stdout, stderr } = await program.finish();
        assertEquals(code, 0, stderr);
        answeredByServers += Number(/answered: (\d+) /.exec(stdout)?.[1]);
        servers[index] = await startServer(port, statsPort, delayMs);
        // HAProxy must have seen it before the other one goes.
        if (kind === "haproxy") await pass(DRAIN_DELAY_MS);
      }
      const before = tally.answered;
      await until("many more are answered", () => isOver || tally.answered > before + 20 * CLIENTS);
      isOver = true;
      await settles("every question has its answer", asking);
      for (const { program } of servers) {
        program.kill("SIGTERM");
        const { code, stdout, stderr } = await program.finish();
        assertEquals(code, 0, stderr);
        answeredByServers += Number(/answered: (\d+) /.exec(stdout)?.[1]);
      }
      // No answer of a server was lost on its way: none of the questions was answered twice.
      assertEquals(answeredByServers, tally.answered);
      assert(tally.askedAgain <= 3 * CLIENTS, `${tally.askedAgain} questions were asked again`);
    } finally {
      for (const { program } of servers) await program[Symbol.asyncDispose]();
    }
  });
}

Deno.test("parley connect behind nginx gets its answers after the end of input, and fails without proxy_half_close", async () => {
  await using server = await started(
    { proxyProtocol: { sources: ["127.0.0.1"] } },
    async (conn) => {
      let count = 0;
      for await (const _ of conn) count++;
      await conn.send(`${count} lines`);
    },
  );
  const backends = [{ port: portOf(server) }, { port: portOf(server) }] as const;
  const outcomes = await Promise.all([true, false].map(async (halfClose) => {
    const change = (config: string) =>
      halfClose ? config : config.replace("proxy_half_close on;", "");
    await using balancer = await Balancer.start("nginx", backends, change);
    const stdin = "one\ntwo\n";
    return await runProgram(PARLEY_MAIN, ["connect", `${balancer.port}`, "--framing", "lines"], {
      stdin,
    });
  }));
  const [good, bad] = outcomes.map(({ code, stdout, stderr }) => ({ code, stdout, stderr }));
  assertEquals(good, { code: 0, stdout: "2 lines\n", stderr: "" });
  assertEquals([bad!.code, bad!.stdout], [1, ""]);
  assertMatch(bad!.stderr, /sent 2, received 0\. .*"proxy_half_close on"/);
});

Deno.test("docs/operations.md says what nginx needs for closeWrite, and both send the header", () => {
  assert(documentedConfig("nginx").includes("proxy_half_close on;"));
  assert(documentedConfig("nginx").includes("proxy_protocol on;"));
  assert(documentedConfig("haproxy").includes("send-proxy-v2"));
});
