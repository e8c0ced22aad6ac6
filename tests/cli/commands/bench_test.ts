// Tests of `parley bench` as a program: loads, verification, ends, wrong usage.
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { LoadReport } from "../../../cli/commands/bench/report.ts";
import { createCa, createCertificate, writeIdentity } from "../../../tls/mod.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import { Program, type ProgramResult, runProgram } from "../../support/programs/program.ts";
import { started, type TestServer } from "../../support/peers/servers.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";
import { until } from "../../support/wait.ts";

function portOf({ server }: TestServer): string {
  assert(server.addr.transport === "tcp");
  return String(server.addr.port);
}

/** Runs a bench, a short one unless the arguments say otherwise. */
function bench(...args: string[]): Promise<ProgramResult> {
  const short = Object.entries({ "--warm-up": "20ms", "--duration": "150ms" }).filter(([name]) =>
    !args.includes(name)
  );
  return runProgram(PARLEY_MAIN, ["bench", ...short.flat(), ...args]);
}

async function reportOf(...args: string[]): Promise<LoadReport & { readonly code: number }> {
  const { code, stdout } = await bench("--json", ...args);
  return { ...JSON.parse(stdout), code };
}

/** A server that answers nothing for 200 ms once, when it has answered 200 messages. */
function stallingServer(): Promise<TestServer> {
  let answered = 0;
  let stall: Promise<unknown> | undefined;
  return started({}, async (conn) => {
    for await (const message of conn) {
      if (++answered === 200) stall = new Promise((resolve) => setTimeout(resolve, 200));
      await stall;
      await conn.send(message);
    }
  });
}

/** Latencies over 50 ms. */
function late({ histogram }: LoadReport): number {
  return histogram.filter(({ upToMs }) => upToMs > 50).reduce((sum, { count }) => sum + count, 0);
}

Deno.test("parley bench tells throughput, latencies and a histogram of a server that echoes", async () => {
  await using test = await started();
  const { code, stdout, stderr } = await bench(portOf(test), "--connections", "3", "--size", "100");
  assertEquals(code, 0, stderr);
  assertMatch(
    stderr,
    /^127\.0\.0\.1:\d+: 3 connections, 100 bytes, 0\.15 s after 0\.02 s of warm-up\n1 in flight/,
  );
  assert(!stderr.includes("\r"), "no progress where there is no terminal");
  for (
    const line of [
      /^[\d,]+ answers in 0\.\d s\n[\d,]+ messages\/s, \d+\.\d MB\/s out, \d+\.\d MB\/s in$/m,
      /^latency +measured +corrected$/m,
      /^ {2}p99\.9( +[\d.]+ (µs|ms|s)){2}$/m,
      /^Closed loop: /m,
      /^ {2}<= +[\d.]+ (µs|ms) █+ +[\d,]+$/m,
      /^Every answer was what was sent$/m,
    ]
  ) assertMatch(stdout, line);
  await until("all connections are closed", () => test.server.connections.size === 0);
  assertEquals(test.codes, []);
});

Deno.test("parley bench shows a stall of 200 ms to every request that was due in it, at a fixed rate", async () => {
  await using test = await stallingServer();
  const report = await reportOf(
    portOf(test),
    "--rate",
    "2000",
    "--duration",
    "600ms",
    "--warm-up",
    "0ms",
  );
  assertEquals([report.code, report.loop, report.correctedLatencyMs], [0, "open", null]);
  const counted = report.histogram.reduce((sum, { count }) => sum + count, 0);
  assert(Math.abs(counted - 1200) <= 1, `${counted} requests were counted`);
  // 2000 in a second are 400 in the stall, of which 300 wait for more than 50 ms.
  assert(late(report) >= 280, `${late(report)} requests were late`);
  assert(
    report.latencyMs!.p99 > 150 && report.latencyMs!.max > 195,
    JSON.stringify(report.latencyMs),
  );
});

Deno.test("parley bench says of a closed loop that it is one, and corrects what a stall hid", async () => {
  await using test = await stallingServer();
  const report = await reportOf(
    portOf(test),
    "--duration",
    "600ms",
    "--warm-up",
    "0ms",
    "--connections",
    "2",
  );
  assertEquals([report.code, report.loop, report.sendLatenessMs], [0, "closed", null]);
  // In 600 ms two connections cannot see more, however slow the machine is.
  assert(
    late(report) >= 2 && late(report) <= 24,
    "as measured, only those see it that were on their way",
  );
  assert(report.correctedLatencyMs!.p90 > 20, JSON.stringify(report.correctedLatencyMs));
  assert(report.latencyMs!.max > 195);
});

Deno.test("parley bench ends after --messages, sends a file, and takes any answer with --no-verify", async () => {
  await using folder = new TempDir();
  const path = `${folder.path}/question`;
  await Deno.writeTextFile(path, "How are you?");
  let wrong = 0;
  await using test = await started({}, async (conn) => {
    for await (const message of conn) {
      if (new TextDecoder().decode(message) !== "How are you?") wrong++;
      await conn.send("Fine.");
    }
  });
  const args = [
    portOf(test),
    "--message-file",
    path,
    "--messages",
    "500",
    "--duration",
    "1m",
    "--warm-up",
    "0ms",
  ];
  const report = await reportOf(...args, "--no-verify", "--in-flight", "7");
  const { code, answers, messageBytes, mismatches, verified } = report;
  assertEquals({ code, answers, messageBytes, mismatches, verified, wrong }, {
    code: 0,
    answers: 500,
    messageBytes: 12,
    mismatches: 0,
    verified: false,
    wrong: 0,
  });
  const refused = await bench(...args);
  assertEquals(refused.code, 1);
  assertMatch(
    refused.stdout,
    /500 answers were not what was sent\n {2}the first should be "How are you\?"\n {2}and was "Fine\."/,
  );
});

Deno.test("parley bench goes through TLS, and ends with 1 and a hint when the certificate has expired", async () => {
  await using folder = new TempDir();
  const ca = await createCa({ name: "bench test" });
  const caFile = `${folder.path}/ca.pem`;
  await Deno.writeTextFile(caFile, ca.cert);
  const good = await createCertificate({ ca, hosts: ["127.0.0.1"] });
  await using test = await started({ tls: good });
  const report = await reportOf(portOf(test), "--ca", caFile, "--in-flight", "4");
  assertEquals([report.code, report.tls, report.mismatches, report.errors], [0, true, 0, {}]);

  const past = new Date(Date.now() - 40 * 24 * 3600_000);
  const expired = await createCertificate({
    ca: await createCa({ name: "old bench test", now: past }),
    client: true,
    now: past,
    days: 30,
  });
  const files = { certFile: `${folder.path}/old.pem`, keyFile: `${folder.path}/old.key` };
  await writeIdentity({ ...expired, ...files });
  const identity = ["--cert", files.certFile, "--key", files.keyFile];
  const { code, stdout, stderr } = await bench(portOf(test), "--ca", caFile, ...identity);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /parley bench: .*expired.*\nHint: see its dates/s);
});

Deno.test("parley bench ends with 1 when the server ends connections, and tells what it measured", async () => {
  let messages = 0;
  await using test = await started({}, async (conn) => {
    for await (const message of conn) {
      if (++messages > 300) break;
      await conn.send(message);
    }
  });
  const report = await reportOf(
    portOf(test),
    "--connections",
    "2",
    "--warm-up",
    "0ms",
    "--duration",
    "1m",
  );
  assertEquals([report.code, report.answers], [1, 300]);
  assertEquals(Object.values(report.errors).reduce((sum, count) => sum + count, 0), 2);
});

Deno.test("parley bench ends with 1 when answers do not come", async () => {
  await using test = await started({}, async (conn) => {
    for await (const _ of conn);
  });
  const { code, stdout } = await bench(portOf(test), "--timeout", "1s", "--connections", "2");
  assertEquals(code, 1);
  assertMatch(stdout, /^0 answers .*\n2 requests were not answered$/ms);
});

Deno.test("parley bench tells wrong usage, a missing file and a refused connection", async () => {
  const cases: [string[], number, RegExp][] = [
    [
      ["bench"],
      2,
      /^parley bench: The address of a server is missing\nTry "parley bench --help"\n$/,
    ],
    [["bench", "nowhere"], 2, /An address is HOST:PORT/],
    [["bench", "5555", "--rate", "0"], 2, /Option "--rate" is between 1 and/],
    [
      ["bench", "5555", "--in-flight", "65536", "--size", "1MiB"],
      2,
      /More than 1 GiB would be in flight/,
    ],
    [
      ["bench", "5555", "--message-file", "no such file"],
      1,
      /no such file.*\nHint: check that the path is right\n$/s,
    ],
    [["bench", "1"], 1, /no program listens there\nHint: nothing listens there/],
  ];
  await Promise.all(cases.map(async ([args, wanted, stderrWanted]) => {
    const { code, stdout, stderr } = await runProgram(PARLEY_MAIN, args);
    assertEquals([code, stdout], [wanted, ""], stderr);
    assertMatch(stderr, stderrWanted);
  }));
});

Deno.test({
  name: "parley bench tells on SIGINT what it measured so far, and leaves no connection",
  ignore: Deno.build.os === "windows", // no signals to send there
  async fn() {
    let messages = 0;
    await using test = await started({}, async (conn) => {
      for await (const message of conn) {
        messages++;
        await conn.send(message);
      }
    });
    const args = ["bench", portOf(test), "--warm-up", "0ms", "--duration", "10m"];
    await using program = new Program(PARLEY_MAIN, args);
    await until("some messages came", () => messages > 100, 20_000);
    program.kill("SIGINT");
    const { code, stdout, stderr } = await program.finish();
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /^[\d,]+ answers in \d+\.\d s, interrupted\n/);
    await until("all connections are closed", () => test.server.connections.size === 0);
    assertEquals(test.codes, []);
  },
});
