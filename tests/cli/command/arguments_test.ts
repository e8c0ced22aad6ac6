// Tests of Arguments, quantities, addresses and the options that several commands share.
import { assertEquals, assertThrows } from "@std/assert";
import { addressText, parseAddress } from "../../../cli/command/address.ts";
import { Arguments } from "../../../cli/command/arguments.ts";
import type { Command } from "../../../cli/command/command.ts";
import type { Flag } from "../../../cli/command/syntax.ts";
import { UsageError } from "../../../cli/command/usage.ts";
import { FRAMING_NAMES, parseFraming } from "../../../cli/flags/framing.ts";
import { STATS_FLAGS, statsPlace } from "../../../cli/flags/stats.ts";
import {
  CLIENT_TLS_FLAGS,
  clientTls,
  SERVER_TLS_FLAGS,
  serverTls,
} from "../../../cli/flags/tls.ts";
import { parseBytes, parseCount, parseDuration } from "../../../cli/command/quantities.ts";

function command(flags: readonly Flag[], operands?: string): Command {
  const base = { name: "x", summary: "", about: "", examples: [], flags };
  return operands === undefined ? base : { ...base, operands };
}

const FLAGS: readonly Flag[] = [
  { name: "on", about: "" },
  { name: "size", value: "BYTES", about: "" },
  { name: "mode", value: "NAME", about: "" },
  { name: "allow", value: "NAME", about: "", many: true },
];

Deno.test("Arguments gives options, repeated options and operands, also those behind --", () => {
  const typed = [
    "--on",
    "a",
    "--size=64KiB",
    "--allow",
    "x",
    "7",
    "--allow",
    "y",
    "--",
    "--on",
    "-b",
  ];
  const args = new Arguments(command(FLAGS, "WHAT"), typed);
  assertEquals([args.has("on"), args.bytes("size", { byDefault: 1 }), args.all("allow")], [
    true,
    65_536,
    ["x", "y"],
  ]);
  assertEquals(args.operands, ["a", "7", "--on", "-b"]);
  const none = new Arguments(command(FLAGS, "WHAT"), []);
  assertEquals([
    none.has("on"),
    none.bytes("size", { byDefault: 1 }),
    none.text("mode"),
    none.all("allow"),
  ], [
    false,
    1,
    undefined,
    [],
  ]);
  assertEquals(none.choice("mode", ["a", "b"], "b"), "b");
});

Deno.test("Arguments keeps what stands behind -- apart for a command that runs it", () => {
  const program = { ...command(FLAGS, "WHAT"), rest: "PROGRAM" };
  const args = new Arguments(program, ["--on", "a", "--", "sort", "-u", "--", "--on"]);
  assertEquals([args.operands, args.rest], [["a"], ["sort", "-u", "--", "--on"]]);
  assertEquals(args.optionalOperand(), "a");
  const none = new Arguments(program, []);
  assertEquals([none.optionalOperand(), none.rest], [undefined, undefined]);
  assertEquals(new Arguments(program, ["--"]).rest, []);
});

const WRONG: readonly (readonly [typed: readonly string[], message: string])[] = [
  [["--none"], 'Unknown option "--none"'],
  [["-z"], 'Unknown option "-z"'],
  [["--size"], 'Option "--size" needs a value'],
  [["--size", "1", "--size", "2"], 'Option "--size" was given more than once'],
  [["--size", "x"], 'Option "--size" is a number of bytes such as 4096, 64KiB or 1MiB, not "x"'],
  [["--size", "9"], 'Option "--size" is between 10 and 20, not 9'],
  [["--size", "15", "--mode", "z"], 'Option "--mode" is one of a, b, not "z"'],
  [["--size", "15", "--mode", "a"], "An address is missing"],
  [["--size", "15", "--mode", "a", "p", "q"], 'Unexpected argument "q"'],
];

for (const [typed, message] of WRONG) {
  Deno.test(`Arguments refuses ${JSON.stringify(typed)}`, () => {
    assertThrows(
      () => {
        const args = new Arguments(command(FLAGS, "WHAT"), typed);
        args.bytes("size", { byDefault: 10, least: 10, most: 20 });
        args.choice("mode", ["a", "b"], "a");
        args.operand("An address");
      },
      UsageError,
      message,
    );
  });
}

Deno.test("Arguments refuses an operand where a command takes none", () => {
  assertThrows(() => new Arguments(command(FLAGS), ["a"]), UsageError, 'Unexpected argument "a"');
});

Deno.test("parseBytes, parseCount and parseDuration read units, and nothing else", () => {
  assertEquals(["0", "4096", "1kB", "64KiB", "1.5MiB", "2GB"].map(parseBytes), [
    0,
    4096,
    1000,
    65_536,
    1_572_864,
    2e9,
  ]);
  assertEquals(["500ms", "10s", "1.5m", "1h"].map(parseDuration), [500, 10_000, 90_000, 3_600_000]);
  assertEquals(["7", "1000"].map(parseCount), [7, 1000]);
  for (
    const text of ["", "-1", "1e3", "1 2", "1x", "∞", " 1", "0x10", "constructor", "1toString"]
  ) {
    assertEquals(
      [parseBytes(text), parseCount(text), parseDuration(text)],
      [null, null, null],
      text,
    );
  }
  assertEquals(parseDuration("10"), null);
});

Deno.test("parseAddress reads hosts, ports and paths, and addressText writes them", () => {
  const wanted = {
    "localhost:80": { hostname: "localhost", port: 80 },
    "[::1]:0": { hostname: "::1", port: 0 },
    "0.0.0.0:65535": { hostname: "0.0.0.0", port: 65_535 },
    "unix:/run/a b.sock": { path: "/run/a b.sock" },
  };
  for (const [text, address] of Object.entries(wanted)) {
    assertEquals(parseAddress(text), address);
    assertEquals(addressText(address), text);
  }
  assertEquals([parseAddress("5555"), parseAddress(":5555")], [
    { hostname: "127.0.0.1", port: 5555 },
    { hostname: "127.0.0.1", port: 5555 },
  ]);
  for (
    const text of [
      "",
      "host",
      "host:",
      "host:65536",
      "::1:80",
      "unix:",
      "a b:80",
      "http://x:80",
      "host:-1",
    ]
  ) {
    assertThrows(() => parseAddress(text), UsageError, "An address is");
  }
});

Deno.test("parseFraming knows every name that help lists, and refuses others", () => {
  for (const name of FRAMING_NAMES) parseFraming(name);
  for (const name of ["", "u24", "u8be", "fixed:0", "fixed:", "Lines"]) {
    assertThrows(() => parseFraming(name), UsageError, `not "${name}"`);
  }
});

Deno.test("clientTls and serverTls say what the options mean, and refuse what makes no sense", () => {
  const client = (...typed: string[]) => clientTls(new Arguments(command(CLIENT_TLS_FLAGS), typed));
  const server = (...typed: string[]) => serverTls(new Arguments(command(SERVER_TLS_FLAGS), typed));
  assertEquals([client(), server()], [undefined, undefined]);
  assertEquals(client("--tls"), {});
  assertEquals(client("--ca", "a", "--server-name", "n", "--cert", "c", "--key", "k"), {
    certFile: "c",
    keyFile: "k",
    caFile: "a",
    serverName: "n",
  });
  assertEquals(server("--cert", "c", "--key", "k", "--client-ca", "a"), {
    certFile: "c",
    keyFile: "k",
    watch: true,
    clientCaFile: "a",
  });
  assertThrows(() => client("--cert", "c"), UsageError, "--cert and --key go together");
  assertThrows(() => server("--key", "k"), UsageError, "--cert and --key go together");
  assertThrows(() => client("--server-name", "n"), UsageError, "goes with --tls");
  assertThrows(() => server("--client-ca", "a"), UsageError, "goes with --cert");
});

Deno.test("statsPlace says where and by which names, and refuses what makes no sense", () => {
  const place = (...typed: string[]) => statsPlace(new Arguments(command(STATS_FLAGS), typed));
  assertEquals(place(), undefined);
  assertEquals(place("--stats", "9100"), { hostname: "127.0.0.1", port: 9100, allowedHosts: [] });
  assertEquals(place("--stats", "0.0.0.0:9100", "--stats-host", "app", "--stats-host", "probe"), {
    hostname: "0.0.0.0",
    port: 9100,
    allowedHosts: ["app", "probe"],
  });
  assertThrows(() => place("--stats", "unix:/x"), UsageError, "is HOST:PORT or PORT");
  assertThrows(() => place("--stats-host", "app"), UsageError, "goes with --stats");
});
