// The examples of IPC, each as the processes that a reader would start.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Program, runProgram } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

/** An environment whose channels are gone after the test. */
function env(dir: TempDir): { env: Record<string, string> } {
  return { env: { XDG_RUNTIME_DIR: dir.path } };
}

Deno.test("ipc_daemon and ipc_worker share the work among processes", async () => {
  await using dir = new TempDir();
  await using daemon = new Program("examples/ipc_daemon.ts", ["primes", "600"], env(dir));
  const workers = await Promise.all(
    [1, 2].map(() => runProgram("examples/ipc_worker.ts", ["primes"], env(dir))),
  );
  const counts = workers.map(({ stdout }) => Number(/Looked at (\d+) numbers/.exec(stdout)?.[1]));
  assertEquals(counts[0]! + counts[1]!, 599, workers.map(({ stderr }) => stderr).join());
  const { code, stdout } = await daemon.finish();
  assertEquals([code, /(\d+) of/.exec(stdout)?.[1]], [0, "109"]);
});

Deno.test("ipc_chat_server brings every line to all other clients", async () => {
  await using dir = new TempDir();
  await using server = new Program("examples/ipc_chat_server.ts", ["lobby"], env(dir));
  await server.printed(/open/);
  const listeners = [1, 2].map((n) =>
    new Program("examples/ipc_chat_client.ts", ["lobby", `L${n}`, "2"], env(dir))
  );
  for (const listener of listeners) await listener.printed(/Connected/);
  await using ann = new Program("examples/ipc_chat_client.ts", ["lobby", "Ann"], {
    ...env(dir),
    stdin: "Hello\nGoodbye\n",
  });
  for (const listener of listeners) {
    assertMatch((await listener.finish()).stdout, /Ann: Hello\nAnn: Goodbye\n/);
  }
  assert(!ann.stdout.includes("Ann:"));
});

Deno.test("ipc_pair makes a pair of two processes that run the same code", async () => {
  await using dir = new TempDir();
  const results = await Promise.all(
    ["Ann", "Bob"].map((name) => runProgram("examples/ipc_pair.ts", ["duo", name, "3"], env(dir))),
  );
  for (const [i, { code, stdout, stderr }] of results.entries()) {
    const [me, other] = i === 0 ? ["Ann", "Bob"] : ["Bob", "Ann"];
    assertEquals(
      [code, stdout.split(`${other} says hello to ${me}`).length - 1],
      [0, 3],
      stdout + stderr,
    );
  }
  const roles = results.map(({ stdout }) => /is the (\w+)/.exec(stdout)?.[1]).sort();
  assertEquals(roles, ["client", "server"]);
});

Deno.test("ipc_provider carries queries through a cipher of its own", async () => {
  await using dir = new TempDir();
  await using server = new Program("examples/ipc_provider.ts", ["serve", "vault"], env(dir));
  await server.printed(/Serving/);
  const { code, stdout, stderr } = await runProgram(
    "examples/ipc_provider.ts",
    ["ask", "vault"],
    env(dir),
  );
  assertEquals([code, stdout], [0, "stressed\n"], stderr);
});

Deno.test("ipc_tcp takes host and port from the environment, and its secret from a file", async () => {
  await using dir = new TempDir();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const key = `${dir.path}/key`;
  const inEnv = { env: { PARLEY_IPC_HOST: "127.0.0.1", PARLEY_IPC_PORT: `${port}` } };
  assertEquals((await runProgram("examples/ipc_tcp.ts", ["keygen", key])).code, 0);
  await using server = new Program("examples/ipc_tcp.ts", ["serve", key], inEnv);
  await server.printed(/Serving/);
  const { code, stdout, stderr } = await runProgram("examples/ipc_tcp.ts", ["ask", key], inEnv);
  assertEquals([code, stdout], [0, "17 bytes, and nobody listened in\n"], stderr);
});
