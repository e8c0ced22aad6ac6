// What a mounted wire says at default settings, to the console: what its owner can act on, once,
// and nothing of healthy probes.
import { assert, assertEquals } from "@std/assert";
import { join, mount, type MountOptions } from "@parley/parley/wire";
import { ClosedError, TimeoutError } from "../../../errors.ts";
import { WireReporter } from "../../../wire/observe/reporter.ts";
import { utf8 } from "../../support/bytes.ts";
import { writeAll } from "../../support/peers/raw_peer.ts";
import { codeOf, errorOf } from "../../support/peers/servers.ts";
import { settles, until } from "../../support/wait.ts";

/** Runs a wire without a logger, and returns what the console got. */
async function saidBy(
  options: MountOptions,
  work: (port: number, said: readonly string[]) => Promise<void>,
): Promise<string[]> {
  const said: string[] = [];
  const { warn, error } = console;
  console.warn = (message, fields) => void said.push(`warn ${message} ${fields?.peer}`);
  console.error = (message, fields) => void said.push(`error ${message} ${fields?.peer}`);
  try {
    const wire = mount(options);
    await wire.ready;
    await work((wire.addr as Deno.NetAddr).port, said);
    await wire.shutdown();
  } finally {
    Object.assign(console, { warn, error });
  }
  return said;
}

/** Joins, and returns the code of the refusal. */
async function refusal(port: number): Promise<string> {
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const peer = join({ port, identity: "ann", token: "wrong", reconnect: false, logger });
  return codeOf(await settles("ready", errorOf(peer.ready)));
}

const PEER = "127\\.0\\.0\\.1:\\d+$";

Deno.test("mount warns at default settings of a wrong token and of another protocol, each with its peer", async () => {
  const said = await saidBy({ authorize: () => false }, async (port, said) => {
    assertEquals(await refusal(port), "ERR_AUTH");
    await until("the token is reported", () => said.length === 1);
    using socket = await Deno.connect({ hostname: "127.0.0.1", port });
    await writeAll(socket, utf8("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    await until("the request is reported", () => said.length === 2);
  });
  assertEquals(said.length, 2, said.join("\n"));
  assert(
    new RegExp(`^warn Wire, in phase "handshake": AuthError: .* ${PEER}`).test(said[0]!),
    said[0],
  );
  assert(new RegExp(`^warn .*it sent an HTTP request ${PEER}`).test(said[1]!), said[1]);
});

Deno.test("mount says nothing of a probe that comes and goes", async () => {
  const said = await saidBy({ authorize: () => true }, async (port) => {
    for (let count = 0; count < 3; count++) {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    }
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const peer = join({ port, identity: "ann", logger });
    await peer.ready;
    await peer.close();
  });
  assertEquals(said, []);
});

Deno.test("mount warns at default settings that authorize was late", async () => {
  const options = { authorize: () => new Promise<boolean>(() => {}), handshakeTimeoutMs: 200 };
  const said = await saidBy(options, async (port) => {
    assertEquals(await refusal(port), "ERR_TOO_MANY_CONNECTIONS");
  });
  assertEquals(said.length, 1, said.join("\n"));
  assert(/^warn .*Cannot authorize the session within \d+ ms/.test(said[0]!), said[0]);
});

Deno.test("mount warns at default settings once that it is full, and what to raise", async () => {
  const said = await saidBy({ insecureAnyone: true, maxConnections: 1 }, async (port, said) => {
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const peer = join({ port, identity: "ann", logger });
    await peer.ready;
    for (let count = 0; count < 5; count++) {
      using socket = await Deno.connect({ hostname: "127.0.0.1", port });
      assertEquals(await socket.read(new Uint8Array(1)).catch(() => null), null);
    }
    await until("it is said", () => said.length > 0);
    await peer.close();
  });
  assertEquals(said.length, 1, said.join("\n"));
  assert(/^warn .*server is full: .*"maxConnections" allows, 1: raise it/.test(said[0]!), said[0]);
});

Deno.test("mount that cannot listen says so once where its caller asks for no promise, and nothing where it does", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const said: string[] = [];
  const { error } = console;
  console.error = (message) => void said.push(message);
  try {
    const heard = mount({ insecureAnyone: true, port });
    assertEquals(codeOf(await errorOf(heard.ready)), "ERR_ADDRESS_IN_USE");
    assertEquals(said, []);
    const unheard = mount({ insecureAnyone: true, port });
    await settles("finished", unheard.finished);
    assertEquals(said, [
      `Wire error in phase "listen": AddressError: Cannot listen on "127.0.0.1:${port}": the address is in use`,
    ]);
  } finally {
    console.error = error;
    taken.close();
  }
});

Deno.test("WireReporter warns of an authorize that was late for a stream, and says nothing of other ends of streams", () => {
  const said: string[] = [];
  const { warn } = console;
  console.warn = (message) => void said.push(message);
  try {
    const reporter = new WireReporter({});
    reporter.report(new TimeoutError("ERR_HANDSHAKE_TIMEOUT", "late"), { phase: "stream" });
    reporter.report(new ClosedError("ERR_RESET", "gone"), { phase: "stream" });
  } finally {
    console.warn = warn;
  }
  assertEquals(said, ['Wire, in phase "stream": TimeoutError: late']);
});

Deno.test("WireReporter calls onError ten times a second for what strangers bring about, and no more", () => {
  let heard = 0;
  const reporter = new WireReporter({ onError: () => void heard++ });
  for (let i = 0; i < 100; i++) {
    reporter.report(new ClosedError("ERR_RESET", "gone"), { phase: "handshake" });
  }
  assertEquals(heard, 10);
});

Deno.test("WireReporter logs ten lines of a kind in ten seconds, then how many were left out", () => {
  const lines: string[] = [];
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: (message: string) => void lines.push(message),
  };
  const reporter = new WireReporter({ logger });
  const fail = () => reporter.report(new Error("failed"), { phase: "hook" });
  for (let i = 0; i < 25; i++) fail();
  assertEquals(lines.length, 10);
  const { now } = performance;
  performance.now = () => now.call(performance) + 10_000;
  try {
    fail();
  } finally {
    performance.now = now;
  }
  assertEquals(
    lines.at(-1),
    `Wire error in phase "hook": Error: failed (15 more like it were left out)`,
  );
});
