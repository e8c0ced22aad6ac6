// Tests of NameWatch: a resolver that hangs, answers late or nonsense is asked again.
import { assert, assertEquals } from "@std/assert";
import { Pool, type PoolErrorContext } from "@parley/parley/pool";
import { NameWatch } from "../../pool/names.ts";
import { codeOf, errorOf, lines } from "../support/peers/servers.ts";
import { settle } from "../support/simulation/memory_connections.ts";
import { askOnce, backendOf, until } from "./backends.ts";

/** A watch whose resolver answers as the test says, and what it reports. */
function watched(timeoutMs: number) {
  const asked: (PromiseWithResolvers<unknown> & { signal: AbortSignal })[] = [];
  const told: string[] = [];
  const resolver = (_: string, { signal }: { signal: AbortSignal }) => {
    const answer = Promise.withResolvers<unknown>();
    asked.push({ ...answer, signal });
    return answer.promise as Promise<string[]>;
  };
  const watch = new NameWatch("svc", { resolver, intervalMs: 1, timeoutMs }, {
    onAdd: (address) => told.push(`+${address}`),
    onRemove: (address) => told.push(`-${address}`),
    onLookup: (error) =>
      told.push(error === undefined ? "done" : codeOf(error) || (error as Error).name),
  });
  return { watch, asked, told };
}

Deno.test("NameWatch gives up a look-up that takes too long, asks again, and does not hear the late answer", async () => {
  const { watch, asked, told } = watched(10);
  watch.sweep(performance.now());
  assertEquals([asked.length, watch.isPending], [1, true]);
  await until(() => told.length === 1);
  assertEquals([told, asked[0]!.signal.aborted], [["ERR_CONNECT_TIMEOUT"], true]);
  assertEquals(watch.isPending, true, "It said nothing: an answer may still come");
  watch.sweep(performance.now() + 10);
  asked[0]!.resolve(["10.0.0.1"]);
  await settle();
  assertEquals([asked.length, told.length], [2, 1]);
  asked[1]!.resolve(["10.0.0.2"]);
  await until(() => told.length === 3);
  assertEquals([told.slice(1), watch.isPending], [["+10.0.0.2", "done"], false]);
  watch.stop();
});

Deno.test("NameWatch keeps what it knows when an answer is nonsense, and asks again", async () => {
  const { watch, asked, told } = watched(60_000);
  const answers = [["10.0.0.1"], [], undefined, [7], [""], "rejects", ["10.0.0.3"]];
  for (const [at, answer] of answers.entries()) {
    const before = told.length;
    watch.sweep(performance.now() + 10);
    answer === "rejects" ? asked[at]!.reject(undefined) : asked[at]!.resolve(answer);
    await until(() => told.length > before);
  }
  assertEquals(told, [
    "+10.0.0.1",
    "done",
    ...Array(5).fill("TypeError"),
    "+10.0.0.3",
    "-10.0.0.1",
    "done",
  ]);
  watch.stop();
});

Deno.test("NameWatch that is stopped in mid-look-up tells nothing more, and keeps no timer", async () => {
  const { watch, asked, told } = watched(60_000);
  watch.sweep(performance.now());
  watch.stop();
  assert(asked[0]!.signal.aborted);
  asked[0]!.resolve(["10.0.0.1"]);
  await settle();
  assertEquals([told, watch.isPending], [[], false]);
});

Deno.test("Pool asks a resolver again that hung, while its callers wait, and tells onError", async () => {
  await using a = await backendOf("a");
  const told: [string, PoolErrorContext][] = [];
  let asked = 0;
  const resolve = () =>
    ++asked === 1 ? new Promise<string[]>(() => {}) : Promise.resolve(["127.0.0.1"]);
  await using pool = new Pool({
    ...lines,
    backends: [{ ...a.backend, resolve }],
    resolveIntervalMs: 20,
    timeoutMs: 50,
    onError: (error, context) => told.push([codeOf(error), context]),
  });
  assertEquals(await askOnce(pool, "?"), "a ?");
  assert(asked >= 2);
  assertEquals(told, [["ERR_CONNECT_TIMEOUT", { phase: "lookup", backend: "a" }]]);
});

Deno.test("acquire says that names could not be looked up when it waited for that in vain", async () => {
  const backends = [{ hostname: "svc", port: 1, resolve: () => new Promise<string[]>(() => {}) }];
  await using pool = new Pool({
    ...lines,
    backends,
    resolveIntervalMs: 10,
    timeoutMs: 20,
    onError: () => {},
  });
  const error = await errorOf(pool.acquire({ timeoutMs: 200 }));
  assertEquals([codeOf(error), codeOf(error.cause)], [
    "ERR_ACQUIRE_TIMEOUT",
    "ERR_CONNECT_TIMEOUT",
  ]);
});
