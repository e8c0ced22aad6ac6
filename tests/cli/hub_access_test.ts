// Tests of the files that say who may join a hub and open what: tokens, rules, and what is refused
// before it listens.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Arguments } from "../../cli/command/arguments.ts";
import type { Command } from "../../cli/command/command.ts";
import { UsageError } from "../../cli/command/usage.ts";
import { exposeCommand } from "../../cli/commands/expose.ts";
import { forwardCommand } from "../../cli/commands/forward.ts";
import { hubCommand } from "../../cli/commands/hub.ts";
import {
  isAllowed,
  isAnyAllowed,
  matches,
  parseRule,
  parseRules,
} from "../../cli/commands/hub/rules.ts";
import { TokenList } from "../../cli/commands/hub/tokens.ts";
import { ipcListenCommand } from "../../cli/commands/ipc/listen.ts";
import { ipcQueryCommand } from "../../cli/commands/ipc/query.ts";
import { ipcSendCommand } from "../../cli/commands/ipc/send.ts";
import { readPrivateFile } from "../../cli/process/private_file.ts";
import { AuthError } from "../../errors.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

const SOME_HASH = "43fdd0d7a58e35af72e17d36c7dd7c47ffb5d90a4b7a0d0a9d0b1dfe25f7d3a5";

Deno.test("matches knows texts with and without wildcards", () => {
  const good = [["a", "a"], ["*", ""], ["*", "abc"], ["a*", "a"], ["*c", "abc"], ["a*c", "ac"], [
    "a*b*c",
    "aXbYc",
  ]];
  const bad = [["a", "b"], ["a", "ab"], ["", "a"], ["a*a", "a"], ["ab*bc", "abc"], ["*b", "a"], [
    "a*b*c",
    "acb",
  ]];
  for (const [pattern, text] of good) {
    assertEquals(matches(pattern!, text!), true, `${pattern} ${text}`);
  }
  for (const [pattern, text] of bad) {
    assertEquals(matches(pattern!, text!), false, `${pattern} ${text}`);
  }
});

Deno.test("parseRule and parseRules read what is typed and what is in a file, and refuse others", () => {
  const rule = { from: "home", to: "office", name: "tcp:web" };
  assertEquals(parseRule("home:office:tcp:web"), rule);
  const text = "# who may what\n\n  home   office tcp:web\r\n*\tshop *";
  const rules = parseRules(text, "rules");
  assertEquals(rules, [rule, { from: "*", to: "shop", name: "*" }]);
  assertEquals([isAllowed(rules, rule), isAllowed(rules, { ...rule, name: "tcp:db" })], [
    true,
    false,
  ]);
  assertEquals(isAllowed(rules, { from: "office", to: "home", name: "tcp:web" }), false);
  assertEquals(isAnyAllowed(rules, { from: "home", to: "office" }), true);
  assertEquals(isAnyAllowed(rules, { from: "office", to: "home" }), false);
  assertEquals(isAllowed([], rule), false);
  for (const typed of ["", "a:b", "a::c", ":b:c", "a:b:c d"]) {
    assertThrows(() => parseRule(typed), UsageError, "FROM:TO:NAME");
  }
  for (const line of ["a", "a b", "a b c d"]) {
    assertThrows(() => parseRules(`#\n${line}`, "x"), RangeError, 'rules "x", line 2');
  }
});

Deno.test("TokenList takes tokens and hashes, several of one identity, and nobody else's", async () => {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("the token of bob"));
  const hash = new Uint8Array(bytes).toHex();
  const list = TokenList.parse(
    `# x\nann the-token-of-ann\nann the-next-of-ann-1\nbob sha256:${hash}\n`,
    "t",
  );
  const cases: [string, string, boolean][] = [
    ["ann", "the-token-of-ann", true],
    ["ann", "the-next-of-ann-1", true],
    ["bob", "the token of bob", true],
    ["bob", "the-token-of-ann", false],
    ["ann", "the-token-of-anN", false],
    ["ann", "", false],
    ["cid", "the-token-of-ann", false],
    ["bob", `sha256:${hash}`, false],
    ["bob", hash, false],
  ];
  for (const [identity, token, allowed] of cases) {
    assertEquals(list.allows(identity, token), allowed, `${identity} ${token}`);
  }
});

Deno.test("TokenList refuses lines that are none, and tells which without telling the token", () => {
  const long = "0123456789abcdef";
  const cases: [string, string][] = [
    ["", "there must be one"],
    ["# none", "there must be one"],
    ["ann", "line 1"],
    [`ann ${long}\nbob short`, "line 2: a token must have 16 characters"],
    [`ann ${long} more`, "line 1"],
    ["ann sha256:0123", "64 hex digits"],
    [`ann sha256:${SOME_HASH.toUpperCase()}`, "64 hex digits"],
    [`ä ${long}`, "line 1: the identity"],
    [`ann ${"x".repeat(10_000)}`, "line 1"],
  ];
  for (const [text, message] of cases) {
    const error = assertThrows(() => TokenList.parse(text, "t"), RangeError, message);
    assertEquals(error.message.includes(long), false);
  }
});

Deno.test({
  name: "readPrivateFile refuses what others may read, and what is too long",
  ignore: Deno.build.os === "windows", // no such modes there
  async fn() {
    await using folder = new TempDir();
    const path = `${folder.path}/token`;
    await Deno.writeTextFile(path, "content", { mode: 0o600 });
    assertEquals(await readPrivateFile(path, "token"), "content");
    for (const mode of [0o640, 0o604, 0o620, 0o602]) {
      await Deno.chmod(path, mode);
      const shown = `its mode must be 0600 or less, current mode is 0${mode.toString(8)}`;
      await assertRejects(() => readPrivateFile(path, "token"), AuthError, shown);
    }
    await Deno.chmod(path, 0o400);
    assertEquals(await readPrivateFile(path, "token"), "content");
    await Deno.chmod(path, 0o600);
    await Deno.writeTextFile(path, "x".repeat(2 ** 20 + 1));
    await assertRejects(() => readPrivateFile(path, "token"), RangeError, "1048576 bytes at most");
    await assertRejects(() => readPrivateFile(`${path}s`, "token"), Deno.errors.NotFound);
  },
});

const WRONG: readonly (readonly [command: Command, typed: readonly string[], message: string])[] = [
  [hubCommand, ["0.0.0.0:0"], "beyond this machine"],
  [hubCommand, ["[::]:0"], "beyond this machine"],
  [hubCommand, ["hub.example:0"], "add --cert and --key, or --insecure-plain"],
  [hubCommand, ["0"], "Who may join is missing"],
  [hubCommand, ["0", "1"], 'Unexpected argument "1"'],
  [hubCommand, ["0", "--tokens", "a", "--token-file", "b"], "exclude each other"],
  [hubCommand, ["0", "--tokens", "a", "--allow", "a:b"], "FROM:TO:NAME"],
  [exposeCommand, ["7000", "web"], "TARGET is missing"],
  [exposeCommand, ["7000", "web", "0"], "cannot be 0"],
  [exposeCommand, ["7000", "web", "80"], 'Option "--identity" is missing'],
  [exposeCommand, ["hub.example:7000", "web", "80", "--identity", "a"], "beyond this machine"],
  [exposeCommand, ["7000", "web=80", "api="], 'such as web=8080, not "api="'],
  [exposeCommand, ["7000", "web=80", "web=81"], 'The service "web" is there twice'],
  [exposeCommand, ["7000", "web=80", "api=0"], "cannot be 0"],
  [exposeCommand, ["7000", "a=b", "80"], 'Option "--identity" is missing'],
  [exposeCommand, ["7000", "web", "80", "api=81"], 'Unexpected argument "api=81"'],
  [forwardCommand, ["7000"], "IDENTITY/NAME is missing"],
  [forwardCommand, ["7000", "a/b=1", "c=2"], 'such as office/web, not "c"'],
  [forwardCommand, ["7000", "a/b=1", "a/b=2"], 'The service "a/b" is there twice'],
  [forwardCommand, ["7000", "web", "0", "--identity", "a"], "such as office/web"],
  [forwardCommand, ["192.0.2.1:7000", "a/b", "--identity", "c"], "add --tls or --ca"],
  [forwardCommand, ["7000", "a/b", "0", "1"], 'Unexpected argument "1"'],
  [ipcListenCommand, [], "NAME is missing"],
  [ipcListenCommand, ["a/b"], '"name" must be'],
  [ipcListenCommand, ["a", "--tcp", "0", "--path", "b"], "exclude each other"],
  [ipcListenCommand, ["a", "--permissions", "all"], 'needs "secret"'],
  [ipcListenCommand, ["a", "--echo", "--", "cat"], "exclude each other"],
  [ipcListenCommand, ["a", "--max-programs", "1"], "needs a program"],
  [ipcSendCommand, ["a", "--type", "0"], 'Option "--type" is between 1'],
  [ipcSendCommand, ["a", "--tcp", "unix:x"], "HOST:PORT"],
  [ipcQueryCommand, ["a", "b", "c"], 'Unexpected argument "c"'],
];

for (const [command, typed, message] of WRONG) {
  Deno.test(`parley ${command.name} refuses ${JSON.stringify(typed)} before it opens anything`, async () => {
    await assertRejects(
      async () => await command.run!(new Arguments(command, typed)),
      UsageError,
      message,
    );
  });
}
