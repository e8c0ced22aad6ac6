// Tests of parley connect at a real terminal: typing, messages in between, Ctrl-D, Ctrl-C, hostile messages.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { delimited, lengthPrefixed } from "../../framing.ts";
import { serve } from "../../server.ts";
import type { Connection } from "../../connection.ts";
import { parleyProgram } from "../support/programs/parley_program.ts";
import { hasTmux, Terminal } from "../support/programs/terminal.ts";

const tmux = hasTmux();
const test = (name: string, fn: () => Promise<void>) =>
  Deno.test({ name: `${name}${tmux ? "" : " (tmux is missing)"}`, ignore: !tmux, fn });

function start(args: readonly string[], columns: number): Promise<Terminal> {
  const program = parleyProgram();
  return Terminal.start([program.command, ...program.args, "connect", ...args], { columns });
}

test("parley connect at a terminal shows messages above the line that is being typed, until Ctrl-D", async () => {
  const { promise: connected, resolve } = Promise.withResolvers<Connection>();
  await using server = serve({ framing: delimited("\n") }, async (connection) => {
    resolve(connection);
    for await (const message of connection) await connection.send(message);
    await connection.send("goodbye");
  });
  await server.ready;
  if (server.addr.transport !== "tcp") throw new TypeError("Not TCP");
  await using terminal = await start([String(server.addr.port)], 40);
  await terminal.shows(/connected to 127\.0\.0\.1:\d+; Ctrl-D\s/);
  const connection = await connected;
  // Longer than the terminal is wide, and with characters that take two columns.
  await terminal.type("a long line that goes on 日本 behind the edge");
  await terminal.shows(/^> a long line .* behind t\nhe edge$/m);
  await connection.send("first in between");
  await terminal.shows(/^< first in between\n> a long/m);
  await connection.send("red \x1b[31m\x1b[2J\x07 C:\\dir");
  await terminal.type(" ok");
  await terminal.press("Enter");
  const screen = await terminal.shows(/ok\n< a long.*\n.*ok\n>$/);
  const typed = "a long line that goes on 日本 behind t\nhe edge ok";
  assertStringIncludes(
    screen,
    `< first in between\n< red \\x1b[31m\\x1b[2J\\x07 C:\\dir\n> ${typed}\n< ${typed}`,
  );
  await terminal.press("Up", "BSpace", "BSpace", "Enter");
  await terminal.shows(/behind t\nhe edge\n< a long/);
  await terminal.press("C-d");
  const end = await terminal.shows(/\[exit \d+\]/);
  assertEquals(end.split("\n").slice(-3), [
    "< goodbye",
    "the server ended the connection",
    "[exit 0]",
  ]);
});

test("parley connect at a terminal shows what is no text in hexadecimal, and Ctrl-C leaves", async () => {
  await using server = serve({ framing: lengthPrefixed({ bytes: 1 }) }, async (connection) => {
    await connection.send("two\nlines");
    await connection.send(new Uint8Array([0, 1, 0xfe, 0xff]));
    for await (const _ of connection);
  });
  await server.ready;
  if (server.addr.transport !== "tcp") throw new TypeError("Not TCP");
  await using terminal = await start([String(server.addr.port), "--framing", "u8"], 80);
  await terminal.shows(/^< two\\nlines\n< \[4 bytes\] 00 01 fe ff\n>$/m);
  await terminal.type("half a line");
  await terminal.shows(/half a line$/);
  await terminal.press("C-c");
  const screen = await terminal.shows(/\[exit 0\]$/);
  assertStringIncludes(screen, "half a line\n[exit 0]");
});
