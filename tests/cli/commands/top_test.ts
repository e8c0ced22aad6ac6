// Tests of `parley top` as a program, at a terminal and without one.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { pause } from "../../../async/pause.ts";
import { serve, type Server } from "../../../server.ts";
import { serveStats, type StatsPage } from "../../../stats/mod.ts";
import { PARLEY_MAIN, parleyProgram } from "../../support/programs/parley_program.ts";
import { Program, type ProgramResult, runProgram } from "../../support/programs/program.ts";
import { ask, started, type TestServer } from "../../support/peers/servers.ts";
import { hasTmux, Terminal } from "../../support/programs/terminal.ts";

const TMUX = hasTmux();

async function pageOf({ server }: TestServer, port = 0): Promise<StatsPage> {
  const page = serveStats({ orders: server }, { port, title: "Top test" });
  await page.ready;
  return page;
}

function portOf({ addr }: StatsPage | Server): number {
  assert(addr.transport === "tcp");
  return addr.port;
}

function top(...args: string[]): Promise<ProgramResult> {
  return runProgram(PARLEY_MAIN, ["top", ...args]);
}

Deno.test("parley top prints one look as plain text where there is no terminal", async () => {
  await using test = await started();
  await using conn = await test.connect();
  await ask(conn, "x".repeat(1234));
  await using page = await pageOf(test); // hands out what it has seen less than 250 ms ago
  const { code, stdout, stderr } = await top(`127.0.0.1:${portOf(page)}`);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^Top test · process \d+ · up /);
  assertMatch(stdout, /^server orders: listening on 127\.0\.0\.1:\d+, 1 connections$/m);
  assertMatch(stdout, /^orders +\S+ +127\.0\.0\.1:\d+ +open .* 1\.2 kB +1\.2 kB +- +-$/m);
  assert(!stdout.includes("\x1b"));
});

Deno.test(
  "parley top --json tells each look on a line, waits for a page that is away, and ends on SIGINT",
  {
    ignore: Deno.build.os === "windows", // no signals to send there
  },
  async () => {
    await using test = await started();
    const page = await pageOf(test);
    const port = portOf(page);
    const once = await top(page.url, "--json", "--once");
    assertEquals([once.code, JSON.parse(once.stdout).sources[0].name], [0, "orders"]);

    await using program = new Program(PARLEY_MAIN, [
      "top",
      `${port}`,
      "--json",
      "--interval",
      "100ms",
    ]);
    await program.printed(/\n.*"title":"Top test".*\n/);
    await page.shutdown();
    await program.said(
      /parley top: Cannot read statistics from .*: no program answers there; trying again\n/,
    );
    const before = program.stdout.length;
    await using _again = await pageOf(test, port);
    await program.printed(new RegExp(`^[^]{${before + 1},}\n$`));
    program.kill("SIGINT");
    const { code, stdout } = await program.finish();
    assertEquals(code, 0);
    for (const line of stdout.trimEnd().split("\n")) assertEquals(JSON.parse(line).version, 1);
  },
);

Deno.test("parley top tells wrong usage, a refused connection, and that it found something else", async () => {
  await using http = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => {
    if (url.includes("/page/")) return Response.json({ hello: 1 });
    return new Response("Not here", { status: url.includes("/named/") ? 421 : 404 });
  });
  await using echo = serve((connection) => connection.send("no HTTP"));
  await echo.ready;
  const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  gone.close();
  const cases: [string[], number, RegExp][] = [
    [["top"], 2, /The address of a statistics page is missing/],
    [["top", "unix:/tmp/x"], 2, /not over a unix socket/],
    [
      ["top", "9100", "--sort", "beauty"],
      2,
      /Option "--sort" is one of rate, bytes, waiting, age, name/,
    ],
    [["top", `${gone.addr.port}`], 1, /no program answers there\nHint: nothing listens there/],
    [["top", "1"], 1, /: no HTTP client asks that port\nHint: /],
    [["top", `${portOf(echo)}`], 1, /does not speak HTTP\nHint: another program listens there/],
    [
      ["top", `http://127.0.0.1:${http.addr.port}/named/`],
      1,
      /not served under that name; ask by its address/,
    ],
    [["top", `${http.addr.port}`], 1, /: the answer is 404\nHint: another program listens there/],
    [
      ["top", `http://127.0.0.1:${http.addr.port}/page/`],
      1,
      /: the answer is something else\nHint: /,
    ],
  ];
  await Promise.all(cases.map(async ([args, wanted, told]) => {
    const { code, stdout, stderr } = await runProgram(PARLEY_MAIN, args);
    assertEquals([code, stdout], [wanted, ""], stderr);
    assertMatch(stderr, told);
  }));
});

Deno.test({
  name: `parley top redraws a terminal, follows its size, obeys keys and leaves it as it was${
    TMUX ? "" : ": no tmux"
  }`,
  ignore: !TMUX,
  async fn() {
    await using test = await started();
    await using page = await pageOf(test);
    await using conn = await test.connect();
    await ask(conn, "Hello");
    const port = portOf(page);
    const { command, args } = parleyProgram();
    const line = [command, ...args, "top", `${port}`, "--interval", "100ms"];
    await using terminal = await Terminal.start(line, { columns: 100, rows: 16 });
    await terminal.shows(/^orders +\S+ +127\.0\.0\.1:\d+ +open/m);
    const talking = new AbortController();
    const talk = (async () => {
      for (; !talking.signal.aborted; await pause(20, talking.signal)) {
        await ask(conn, "x".repeat(2000));
      }
    })();
    await terminal.shows(/^ {2}in +\S*[▂-█]\S* [1-9][\d,]* messages\/s, [1-9][\d.]* [kM]?B\/s$/m);
    talking.abort();
    await talk;
    await terminal.press("w");
    await terminal.shows(/w \[waiting\].*q quit$/m);
    await terminal.resize(60, 8);
    // tmux itself shows the last lines of what was there until it is drawn anew.
    await terminal.shows(/^Top test[^\n]{0,52}\n(?:[^\n]{0,60}\n){6}sort: [^\n]{0,54}$/);
    await terminal.press("p");
    await terminal.resize(100, 16);
    await terminal.shows(/p \[paused\]/);
    await terminal.press("p");
    await page.shutdown();
    await terminal.shows(/^! Cannot read statistics .* no program answers there/m);
    await using _again = await pageOf(test, port);
    await terminal.shows(/^Top test/);
    await terminal.press("q");
    const left = await terminal.shows(/^\[exit 0\]$/m);
    assertEquals(left, "[exit 0]", "the view is gone, and what was there before is back");
    await terminal.type("echoed");
    await terminal.press("Enter");
    await terminal.shows(/^echoed\nechoed$/m); // by the terminal, and by what reads it
  },
});
