// Logger: console, the logger of @std/log and that of LogTape are loggers as they are, and their
// lines are useful.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { configureSync, getLogger, type LogRecord, resetSync } from "@logtape/logtape";
import { Client, connect, type Logger, serve } from "@parley/parley";
import { connectIpc, listenIpc, pairIpc } from "@parley/parley/ipc";
import { join, mount } from "@parley/parley/wire";
import { EventLog } from "../log/events.ts";
import { addressText } from "../net/transport/faults.ts";
import { Channel } from "./ipc/channels.ts";
import { until } from "./support/wait.ts";

/**
 * The methods that the `Logger` of `@std/log` 0.224 declares; the package is not maintained any
 * more, and is not imported.
 */
declare class StdLogger {
  debug<T>(message: () => T, ...args: unknown[]): T | undefined;
  debug<T>(message: T extends (...args: unknown[]) => unknown ? never : T, ...args: unknown[]): T;
  info<T>(message: () => T, ...args: unknown[]): T | undefined;
  info<T>(message: T extends (...args: unknown[]) => unknown ? never : T, ...args: unknown[]): T;
  warn<T>(message: () => T, ...args: unknown[]): T | undefined;
  warn<T>(message: T extends (...args: unknown[]) => unknown ? never : T, ...args: unknown[]): T;
  error<T>(message: () => T, ...args: unknown[]): T | undefined;
  error<T>(message: T extends (...args: unknown[]) => unknown ? never : T, ...args: unknown[]): T;
}

/** As @std/log has it: the message, and all else as arguments of the record. */
class StdLikeLogger {
  readonly records: { level: string; msg: string; args: unknown[] }[] = [];
  debug = this.#method("debug");
  info = this.#method("info");
  warn = this.#method("warn");
  error = this.#method("error");

  #method(
    level: string,
  ): <T>(
    msg: (T extends (...args: unknown[]) => unknown ? never : T) | (() => T),
    ...args: unknown[]
  ) => T | undefined {
    return (msg, ...args) => {
      this.records.push({ level, msg: String(msg), args });
      return undefined;
    };
  }
}

/** Keeps lines as `level message`, and their fields. */
class Kept implements Logger {
  readonly lines: string[] = [];
  readonly fields: Record<string, unknown>[] = [];
  debug = this.#keep("debug");
  info = this.#keep("info");
  warn = this.#keep("warn");
  error = this.#keep("error");

  /** The fields of the first line that has this text, once it is there. */
  async of(line: string): Promise<Record<string, unknown>> {
    await until(`the log has "${line}": ${this.lines}`, () => this.lines.includes(line));
    return this.fields[this.lines.indexOf(line)]!;
  }

  #keep(level: string): Logger["info"] {
    return (message, fields = {}) => {
      this.lines.push(`${level} ${message}`);
      this.fields.push(fields);
    };
  }
}

// These lines are the test: they do not compile where one of them is no Logger.
void (console satisfies Logger);
void ((logger: StdLogger): Logger => logger);
void (getLogger("parley") satisfies Logger);

Deno.test("Logger takes LogTape and a logger in the shape of @std/log, with structured fields", async () => {
  const records: LogRecord[] = [];
  configureSync({
    sinks: { kept: (record) => records.push(record) },
    loggers: [
      { category: "parley", sinks: ["kept"], lowestLevel: "info" },
      { category: ["logtape", "meta"], lowestLevel: "fatal" },
    ],
  });
  const std = new StdLikeLogger();
  for (const logger of [getLogger("parley"), std]) {
    await using server = serve({ logger }, () => {});
    await server.ready;
  }
  resetSync();
  const tape = records.map((
    { level, message, properties },
  ) => [level, message.join(""), properties["state"]]);
  const shape = std.records.map((
    { level, msg, args },
  ) => [level, msg, (args[0] as { state: string }).state]);
  const states = [["info", "Listening", "listening"], ["info", "Draining", "draining"], [
    "info",
    "Stopped",
    "stopped",
  ]];
  assertEquals(tape, states);
  assertEquals(shape, states);
});

Deno.test("logger is refused before any I/O when it lacks a method", () => {
  const logger = { debug() {}, info() {}, warn() {} } as unknown as Logger;
  const message = `"error" is none`;
  assertThrows(() => serve({ logger }, () => {}), TypeError, message);
  assertThrows(() => new Client({ port: 1, logger }), TypeError, message);
  assertThrows(() => mount({ insecureAnyone: true, logger }), TypeError, message);
  assertThrows(() => join({ port: 1, identity: "me", logger }), TypeError, message);
});

Deno.test("logger of a server and a Client tells of states, refusals, links and their loss", async () => {
  const [near, far] = [new Kept(), new Kept()];
  await using server = serve({ logger: far, maxConnections: 1 }, async (conn) => {
    for await (const _ of conn) conn.abort();
  });
  await server.ready;
  await using client = new Client({
    ...server.addr,
    logger: near,
    reconnect: { minDelayMs: 1, maxDelayMs: 5 },
  });
  await client.ready;
  await using refused = await connect(server.addr);
  await refused.receive().catch(() => {});
  const full = `the server is full: as many are open as "maxConnections" allows, 1: raise it`;
  const { peer } = await far.of(
    `warn A connection was refused: LimitError: Cannot let a connection in: ${full}`,
  );
  assertEquals(peer, addressText(refused.localAddr));
  assertEquals((await far.of("info Listening"))["address"], server.addr);
  await client.send("go");
  const { server: where, delayMs } = await near.of("warn The client is reconnecting");
  assert(server.addr.transport === "tcp" && typeof delayMs === "number");
  assertEquals(where, `"127.0.0.1:${server.addr.port}"`.replaceAll('"', '"'));
  assertEquals(near.lines[0], "info The client is connected");
});

Deno.test("logger of a wire tells of sessions by identity, and of retries", async () => {
  const [near, far] = [new Kept(), new Kept()];
  await using server = mount({ insecureAnyone: true, logger: far });
  await server.ready;
  await using wire = join({
    ...server.addr,
    identity: "sensor-7",
    logger: near,
    reconnect: { minDelayMs: 1 },
  });
  await wire.ready;
  assertEquals((await far.of("info A session began"))["identity"], "sensor-7");
  server.session("sensor-7")?.abort();
  assertEquals((await far.of("info A session ended"))["identity"], "sensor-7");
  assertEquals((await near.of("warn Joining again"))["attempt"], 1);
});

Deno.test("logger of IPC tells of every status, and so of who serves a pair", async () => {
  await using channel = new Channel();
  const [first, second] = [new Kept(), new Kept()];
  await using one = await pairIpc({ ...channel.options, logger: first }, () => {});
  await using _two = await pairIpc({ ...channel.options, logger: second }, () => {});
  assertEquals((await first.of("debug The channel is listening"))["channel"], "test");
  await first.of("debug The channel is connected");
  await one.close();
  await second.of("debug The channel is listening");
  await using other = new Channel();
  const logger = new Kept();
  await using server = await listenIpc({ ...other.options, logger });
  await using _client = await connectIpc(other.options);
  await logger.of("debug The channel is connected");
  await server.shutdown();
  await logger.of("debug The channel is closed");
});

Deno.test("EventLog writes ten lines of a kind in ten seconds, escapes texts, and outlives a logger that throws", () => {
  const kept = new Kept();
  const log = new EventLog(kept);
  const error = new TypeError("a\nb");
  for (let i = 0; i < 100; i++) {
    log.tell({
      level: "info",
      kind: "x",
      message: "X",
      fields: { text: "\x1b", error, none: undefined },
    });
  }
  log.tell({ level: "warn", kind: "y", message: "Y" });
  assertEquals(kept.lines, [...Array(10).fill("info X"), "warn Y"]);
  assertEquals(kept.fields[0], { text: "\\x1b", error: "TypeError: a\\nb" });
  new EventLog(undefined).tell({ level: "info", kind: "x", message: "X" });
  const broken = {
    ...console,
    info: () => {
      throw new Error("disk full");
    },
  };
  new EventLog(broken).tell({ level: "info", kind: "x", message: "X" });
});

Deno.test("EventLog tells of an error that cannot be read", () => {
  const kept = new Kept();
  const unreadable = (name: string) => {
    const get = () => {
      throw new Error("mine");
    };
    return Object.defineProperty(new Error("x"), name, { get });
  };
  for (const name of ["code", "message", "name"]) {
    new EventLog(kept).tell({
      level: "info",
      kind: "x",
      message: "X",
      fields: { error: unreadable(name) },
    });
  }
  const none = "what was thrown has no text";
  assertEquals(kept.fields.map((fields) => fields?.["error"]), ["Error: x", none, none]);
});
