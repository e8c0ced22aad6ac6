// Tests of parley call and parley ipc call: each is a process, which calls this one through a hub or a
// channel.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { z } from "zod";
import { answer, call, CallError, collect, contract, feed, talk } from "../../../calls/mod.ts";
import { listenIpc } from "../../../ipc/mod.ts";
import { createCa, createCertificate } from "../../../tls/mod.ts";
import { hub, join } from "../../../wire/mod.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import {
  Program,
  type ProgramOptions,
  type ProgramResult,
  runProgram,
} from "../../support/programs/program.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";
import { settles } from "../../support/wait.ts";

const noSignals = Deno.build.os === "windows";

const TOKEN = "the-token-of-all-clients";

const shop = contract({
  add: call({ input: z.object({ a: z.number(), b: z.number() }), output: z.number() }),
  where: call<void, string>(),
  close: call<void, void>(),
  echo: call<unknown, unknown>(),
  buy: call<string, number>(),
  crash: call<void, void>(),
  hang: call<void, void>(),
  ticks: feed<{ count: number }, { tick: number } | undefined>(),
  sum: collect<number, number>(),
  shout: talk<string, string>(),
}, { name: "shop", version: "2.1" });

/** Answers the contract on anything. */
class Shop {
  /** A call of "hang" has come. */
  readonly hanging: PromiseWithResolvers<void> = Promise.withResolvers();
  /** The first value of a "sum" has come. */
  readonly summing: PromiseWithResolvers<void> = Promise.withResolvers();
  /** The generator of a feed has run its `finally`. */
  readonly ended: PromiseWithResolvers<void> = Promise.withResolvers();

  /** Answers as `where`. */
  on(target: Parameters<typeof answer>[0], where: string): void {
    answer(target, shop, {
      add: ({ a, b }) => a + b,
      where: () => where,
      close: () => {},
      echo: (value) => value,
      buy: () => {
        throw new CallError("ERR_NO_STOCK", "Only 3 are left\u009b2J", { left: 3 });
      },
      crash: () => {
        throw new Error("the password is 1234");
      },
      hang: (_, { signal }) => {
        this.hanging.resolve();
        return new Promise((_, reject) => rejectOnAbort(signal, reject));
      },
      ticks: (input) => this.#ticks(input),
      sum: async (numbers) => {
        let sum = 0;
        for await (const number of numbers) {
          this.summing.resolve();
          sum += number;
        }
        return sum;
      },
      async *shout(lines) {
        for await (const line of lines) yield line.toUpperCase();
      },
    }, { onError: () => {} });
  }

  async *#ticks({ count }: { count: number }) {
    try {
      for (let tick = 1; tick <= count; tick++) yield tick === 2 ? undefined : { tick };
    } finally {
      this.ended.resolve();
    }
  }
}

function rejectOnAbort(signal: AbortSignal, reject: (reason: unknown) => void): void {
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
}

/** A hub that answers, a client "office" that answers, and a way to call both, or the channel "shop". */
class World implements AsyncDisposable {
  readonly shop = new Shop();
  readonly #stack = new AsyncDisposableStack();
  #hubPort = 0;
  #folder = "";

  static async open(): Promise<World> {
    const world = new World();
    const folder = world.#stack.use(new TempDir());
    world.#folder = folder.path;
    const server = world.#stack.use(hub({
      onError: () => {},
      authorize: ({ token, name }) => token === TOKEN && name !== "shop.secret",
    }));
    await server.ready;
    world.#hubPort = "port" in server.addr ? server.addr.port : 0;
    world.shop.on(server, "the hub");
    const office = world.#stack.use(
      join({ ...server.addr, identity: "office", token: TOKEN, onError: () => {} }),
    );
    world.shop.on(office, "the office");
    await office.ready;
    if (!noSignals) {
      const path = `${folder.path}/shop.sock`;
      world.shop.on(
        world.#stack.use(await listenIpc({ name: "shop", path, onError: () => {} })),
        "the channel",
      );
    }
    return world;
  }

  /** The arguments and options of `parley call` as "home", or of `parley ipc call`. */
  commandOf(
    over: "hub" | "ipc",
    args: readonly string[],
    options: ProgramOptions = {},
  ): [path: string, args: string[], options: ProgramOptions] {
    // Two sessions of one identity would end each other.
    const me = args.includes("--identity") ? [] : ["--identity", "home"];
    const command = over === "hub"
      ? ["call", `${this.#hubPort}`, ...me, ...args]
      : ["ipc", "call", "shop", "--path", `${this.#folder}/shop.sock`, ...args];
    return [PARLEY_MAIN, command, { ...options, env: { PARLEY_TOKEN: TOKEN, ...options.env } }];
  }

  /** Calls the office through the hub. */
  async call(args: readonly string[], options: ProgramOptions = {}): Promise<ProgramResult> {
    return await runProgram(...this.commandOf("hub", ["office", ...args], options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

const printed = (stdout: string) => ({ code: 0, stdout, stderr: "" });

Deno.test("parley call prints what a peer, the server and a channel return", async () => {
  await using world = await World.open();
  const cases: [args: string[], stdout: string, stdin?: string][] = [
    [["shop.add", '{"a": 1, "b": 2}'], "3\n"],
    [["shop.add", "-"], "5\n", '{"a": 2,\n"b": 3}\n'],
    [["shop.where"], '"the office"\n'],
    [["shop.close"], ""],
    [["shop.close", "--json"], '{"event":"output"}\n'],
    [["shop.where", "--json"], '{"event":"output","output":"the office"}\n'],
    [["shop.echo", '{"a": [1, null]}'], '{"a":[1,null]}\n'],
    [["shop.echo", '{"a": 1}', "--pretty"], '{\n  "a": 1\n}\n'],
    [["shop.echo", "--", "-5"], "-5\n"],
    [["shop.echo", '"\\u009b2J"'], '"\\u009b2J"\n'],
    [["shop.where", "--contract-version", "2.0"], '"the office"\n'],
    [["shop.sum", "--collect"], "6\n", "1\n\n2\n3"],
    [["shop.sum", "--collect"], "0\n"],
    [["shop.ticks", '{"count": 3}', "--feed"], '{"tick":1}\nnull\n{"tick":3}\n'],
    [
      ["shop.ticks", '{"count": 2}', "--feed", "--json"],
      '{"event":"item","item":{"tick":1}}\n{"event":"item"}\n',
    ],
    [["shop.ticks", '{"count": 1e9}', "--feed", "--count", "1"], '{"tick":1}\n'],
    [["shop.shout", "--talk"], '"ONE"\n"TWO"\n', '"one"\n"two"\n'],
  ];
  for (const [args, stdout, stdin] of cases) {
    assertEquals(await world.call(args, { stdin }), printed(stdout), args.join(" "));
  }
  const server = await runProgram(...world.commandOf("hub", [".", "shop.where"]));
  assertEquals(server, printed('"the hub"\n'));
});

Deno.test({
  name: "parley ipc call prints what a channel returns",
  ignore: noSignals, // nor unix sockets
  async fn() {
    await using world = await World.open();
    const cases: [args: string[], stdout: string, stdin?: string][] = [
      [["shop.add", '{"a": 1, "b": 2}'], "3\n"],
      [["shop.where"], '"the channel"\n'],
      [["shop.sum", "--collect"], "6\n", "1\n2\n3\n"],
      [["shop.ticks", '{"count": 1}', "--feed"], '{"tick":1}\n'],
      [["shop.shout", "--talk"], '"ONE"\n', '"one"\n'],
    ];
    for (const [args, stdout, stdin] of cases) {
      const result = await runProgram(...world.commandOf("ipc", args, { stdin }));
      assertEquals(result, printed(stdout), args.join(" "));
    }
    const failed = await runProgram(...world.commandOf("ipc", ["shop.buy", '"tea"']));
    assertEquals([failed.code, failed.stdout], [1, ""]);
    assertMatch(failed.stderr, /^parley ipc call: .*\nCode: ERR_NO_STOCK\nData: {"left":3}$/m);
  },
});

Deno.test("parley call ends with 1 and says how a call failed, with its code, its data and a hint", async () => {
  await using world = await World.open();
  const cases: [args: string[], stderr: RegExp][] = [
    [
      ["office", "shop.buy", '"tea"'],
      /^parley call: .*Only 3 are left\\x9b2J\nCode: ERR_NO_STOCK\nData: {"left":3}\n$/,
    ],
    [["office", "shop.crash"], /^parley call: .*\nCode: ERR_HANDLER\nHint: .*log/],
    [["office", "shop.ad"], /^parley call: .*\nCode: ERR_UNKNOWN_CALL\nHint: /],
    [
      ["office", "shop.add", '{"a": "1"}'],
      /^parley call: .*"a".*\nCode: ERR_INPUT_INVALID\nIssue: a: .*number.*\nIssue: b: .*\nHint: /,
    ],
    [
      ["office", "shop.where", "--contract-version", "1.0"],
      /^parley call: .*\nCode: ERR_CONTRACT_MISMATCH\nHint: .*--contract-version/,
    ],
    [
      ["office", "shop.hang", "--timeout", "1s"],
      /\nCode: ERR_CALL_TIMEOUT\n(?:Reason: .*\n)?Hint: .*--timeout/,
    ],
    [["ofice", "shop.where"], /\nCode: ERR_NO_PEER\nHint: no program has joined .* "ofice"/],
    [["office", "shop.secret"], /\nCode: ERR_FORBIDDEN\nHint: .*'home:office:shop.secret'/],
  ];
  for (const [args, wanted] of cases) {
    const { code, stdout, stderr } = await runProgram(...world.commandOf("hub", args));
    assertEquals([code, stdout], [1, ""], stderr);
    assertMatch(stderr, wanted);
    assert(!stderr.includes("1234"), "the text of an error that is no CallError does not cross");
  }
  const event = await world.call(["shop.buy", '"tea"', "--json"]);
  const { message, ...fields } = JSON.parse(event.stdout);
  assertEquals(fields, { event: "error", code: "ERR_NO_STOCK", data: { left: 3 } });
  assertMatch(message, /Only 3 are left/);
});

Deno.test({
  name: "parley call --feed ends in order on SIGINT, and when no program reads its output",
  ignore: noSignals,
  async fn() {
    for (const end of ["SIGINT", "head"] as const) {
      await using world = await World.open();
      const prefix = end === "head"
        ? ["sh", "-c", '{ "$0" "$@"; echo "code $?" >&2; } | head -n 1']
        : [];
      const args = ["office", "shop.ticks", '{"count": 1e9}', "--feed"];
      await using program = new Program(...world.commandOf("hub", args, { prefix }));
      await program.printed(/^{"tick":1}$/m);
      if (end === "SIGINT") program.kill("SIGINT");
      const { code, stderr } = await settles("its end", program.finish());
      assertEquals([code, stderr], end === "SIGINT" ? [0, ""] : [0, "code 0\n"]);
      await settles("the end of the generator", world.shop.ended.promise);
    }
  },
});

Deno.test({
  name: "parley call gives up on SIGINT, and no half of its input is taken for the whole",
  ignore: noSignals,
  async fn() {
    await using world = await World.open();
    const args = ["office", "shop.sum", "--collect"];
    await using program = new Program(...world.commandOf("hub", args, { keepStdin: true }));
    await program.type("1\n2\n");
    await using hanging = new Program(
      ...world.commandOf("hub", ["office", "shop.hang", "--identity", "two"]),
    );
    await using talking = new Program(
      ...world.commandOf("hub", ["office", "shop.shout", "--talk", "--identity", "three"], {
        keepStdin: true,
      }),
    );
    await talking.type('"hello"\n');
    await talking.printed(/"HELLO"/);
    await settles("calls", Promise.all([world.shop.hanging.promise, world.shop.summing.promise]));
    for (const each of [program, hanging]) each.kill("SIGINT");
    for (const each of [program, hanging]) {
      const { code, stdout, stderr } = await settles("its end", each.finish());
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, /parley call: .*Interrupted/);
    }
    await talking.type("no JSON\n");
    const { code, stderr } = await settles("its end", talking.finish());
    assertEquals(code, 2);
    assertMatch(stderr, /Line 2 of standard input is not valid: "n" is unexpected at line 1, col/);
  },
});

Deno.test("parley call ends with 2 for arguments that make no sense, before it connects", async () => {
  // Nothing listens there.
  const hub = ["call", "127.0.0.1:1", "office"];
  const me = ["--identity", "home"];
  const cases: [args: string[], stderr: RegExp, stdin?: string][] = [
    [["call"], /HUB is missing/],
    [["call", "7000"], /PEER is missing/],
    [[...hub], /NAME is missing/],
    [[...hub, "x", "1", "2", ...me], /Unexpected argument "2"/],
    [[...hub, "x"], /Option "--identity" is missing/],
    [[...hub, "x", "{a: 1}", ...me], /JSON is not valid: "a" is unexpected at line 1, column 2/],
    [[...hub, "x", "-", ...me], /Standard input is not valid: .* at line 2, column 1/, "[\n}"],
    [[...hub, "then", ...me], /"then" cannot name a call/],
    [[...hub, "two words", ...me], /"two words" cannot name a call/],
    [[...hub, "x", "--feed", "--talk", ...me], /--feed and --talk exclude each other/],
    [[...hub, "x", "5", "--collect", ...me], /--collect reads its inputs from standard input/],
    [[...hub, "x", "--count", "2", ...me], /"--count" goes with --feed or --talk/],
    [[...hub, "x", "--feeds", ...me], /Unknown option "--feeds": did you mean "--feed"\?/],
    [[...hub, "x", "--timout", "5s", ...me], /did you mean "--timeout"\?/],
    [["ipc", "call", "jobs"], /NAME is missing/],
    [["ipc", "call", "jobs", "x", "[1"], /JSON is not valid: it ends too early/],
    [["ipc", "cal", "jobs", "x"], /There is no command "cal": did you mean "call"\?/],
  ];
  await Promise.all(cases.map(async ([args, wanted, stdin]) => {
    const { code, stdout, stderr } = await runProgram(PARLEY_MAIN, args, { stdin });
    assertEquals([code, stdout], [2, ""], stderr);
    assertMatch(stderr, wanted);
    assertMatch(stderr, /\nTry "parley (?:ipc )?(?:call )?--help"\n$/);
  }));
});

Deno.test("parley call reaches a hub over TLS, with its token in a file", async () => {
  await using folder = new TempDir();
  const ca = await createCa();
  const tls = await createCertificate({ ca, hosts: ["127.0.0.1"] });
  await using server = hub({ tls, authorize: ({ token }) => token === TOKEN, onError: () => {} });
  await server.ready;
  new Shop().on(server, "the hub");
  const [caFile, tokenFile] = [`${folder.path}/ca.pem`, `${folder.path}/token`];
  await Deno.writeTextFile(caFile, ca.cert);
  await Deno.writeTextFile(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  const port = "port" in server.addr ? server.addr.port : 0;
  const callAs = (identity: string, ...more: string[]) =>
    runProgram(PARLEY_MAIN, [
      "call",
      `${port}`,
      ".",
      "shop.where",
      "--identity",
      identity,
      ...more,
    ]);
  const [called, plain, tokenless] = await Promise.all([
    callAs("one", "--token-file", tokenFile, "--ca", caFile),
    callAs("two", "--token-file", tokenFile),
    callAs("three", "--ca", caFile),
  ]);
  assertEquals(called, printed('"the hub"\n'));
  assertEquals([plain.code, plain.stdout], [1, ""]);
  assertMatch(plain.stderr, /\nHint: .*--tls/);
  assertEquals([tokenless.code, tokenless.stdout], [2, ""]);
  assertMatch(tokenless.stderr, /The token is missing: the hub wants one/);
});

Deno.test("parley call says what is wrong where it cannot join", async () => {
  await using world = await World.open();
  const wrong = await world.call(["shop.where"], {
    env: { PARLEY_TOKEN: "another-token-for-all" },
  });
  assertEquals([wrong.code, wrong.stdout], [1, ""]);
  assertMatch(wrong.stderr, /\nCode: ERR_AUTH\nHint: check that the token is the one .*"home"/);
  const none = await runProgram(PARLEY_MAIN, ["call", "1", ".", "x", "--identity", "home"]);
  assertEquals([none.code, none.stdout], [1, ""]);
  assertMatch(none.stderr, /\nCode: ERR_CONNECT_REFUSED\nHint: nothing listens there/);
});
