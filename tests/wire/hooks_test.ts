// Tests of the hooks of a wire: what they throw or reject with is reported, and changes nothing else.
import { assertEquals } from "@std/assert";
import { join } from "@parley/parley/wire";
import { until } from "../support/wait.ts";
import { hubbed, TOKEN } from "../support/peers/wires.ts";

/**
 * A hook that fails, at once or later; declared as one that returns nothing, which async functions
 * fit as well.
 */
const failing = (name: string, later: boolean): () => void => () => {
  if (!later) throw new Error(name);
  return Promise.reject(new Error(name));
};

for (const later of [false, true]) {
  Deno.test(`a hook of hub and join that ${later ? "rejects" : "throws"} is told to onError, and changes nothing else`, async () => {
    const told = new Set<string>();
    const onError = (error: unknown, { phase }: { phase: string }) =>
      void told.add(`${phase} ${(error as Error).message}`);
    const hooks = (side: string, names: string[]) =>
      Object.fromEntries(names.map((name) => [name, failing(`${side} ${name}`, later)]));
    const of = {
      hub: hooks("hub", ["onOpen", "onClose", "onOffers", "presence"]),
      join: hooks("join", ["onOpen", "onClose", "onOffers", "onRetry"]),
    };
    await using test = await hubbed({ ...of.hub, onError });
    const ann = await test.join("ann", { ...of.join, onError });
    const bob = await test.join("bob");
    ann.handle("new", () => {});
    test.server.handle("new", () => {});
    await until(
      "the names are told",
      () => told.has("hook join onOffers") && told.has("hook hub onOffers"),
    );
    test.server.session("ann")?.abort();
    const wanted = Object.entries(of).flatMap(([side, names]) =>
      Object.keys(names).map((name) => `hook ${side} ${name}`)
    );
    await until("all are told", () => wanted.every((line) => told.has(line)));
    await until("it is there again", () => test.server.session("ann") !== undefined);
    assertEquals(bob.peers.size, 0);
  });
}

Deno.test("an onError of a wire that rejects goes to the logger", async () => {
  const logged: string[] = [];
  const log = (message: string) => void logged.push(message);
  await using test = await hubbed();
  const wire = join({
    ...test.server.addr,
    identity: "ann",
    token: `ann${TOKEN}`,
    logger: { debug: log, info: log, warn: log, error: log },
    onOpen: failing("of the hook", true),
    onError: failing("of onError", true),
  });
  await wire.ready;
  await until("it is logged", () => logged.some((line) => /phase "hook".*of onError/.test(line)));
  await wire.close();
});
