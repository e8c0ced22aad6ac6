// Spans and durations of calls.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { answer, call, caller, CallError, contract, feed } from "@parley/parley/calls";
import { join, mount } from "@parley/parley/wire";
import { until } from "../support/wait.ts";
import { TestTelemetry } from "../support/telemetry.ts";

const shop = contract({
  add: call<{ a: number; b: number }, number>(),
  buy: call<string, void>(),
  ticks: feed<number, number>(),
}, { name: "shop" });

Deno.test("the span of a handler is the child of its caller's, and both are timed", async () => {
  using telemetry = new TestTelemetry();
  await using server = mount({ insecureAnyone: true });
  await server.ready;
  answer(server, shop, {
    add: ({ a, b }) => a + b,
    buy: () => {
      throw new CallError("ERR_NO_STOCK", "None is left");
    },
    *ticks(count) {
      for (let tick = 0; tick < count; tick++) yield tick;
    },
  });
  await using wire = join({ ...server.addr, identity: "me" });
  const remote = caller(wire, shop);
  assertEquals(await remote.add({ a: 1, b: 2 }), 3);
  const [called, answered] = [
    await telemetry.span("call shop.add"),
    await telemetry.span("answer shop.add"),
  ];
  assertEquals([answered.traceId, answered.parentId], [called.traceId, called.spanId]);
  assertEquals(answered.attributes["parley.peer.identity"], "me");
  assertEquals(called.attributes["rpc.method"], "shop.add");

  await assertRejects(() => remote.buy("bread"), CallError);
  const failed = await telemetry.span("call shop.buy");
  assertEquals([failed.failed, failed.attributes["error.type"]], [true, "ERR_NO_STOCK"]);
  assertEquals(await Array.fromAsync(remote.ticks(3)), [0, 1, 2]);
  await telemetry.span("answer shop.ticks");

  for await (const tick of remote.ticks(1e9)) if (tick === 3) break;
  await until(
    "both spans of a feed that was left end",
    () =>
      ["call shop.ticks", "answer shop.ticks"].every((name) =>
        telemetry.spans.filter((span) => span.name === name).length === 2
      ),
  );

  const methods = (name: string) =>
    telemetry.durations.filter((each) => each.name === name).map((each) =>
      each.labels["rpc.method"]
    );
  assertEquals(methods("rpc.client.call.duration"), [
    "shop.add",
    "shop.buy",
    "shop.ticks",
    "shop.ticks",
  ]);
  assertEquals(methods("rpc.server.call.duration"), [
    "shop.add",
    "shop.buy",
    "shop.ticks",
    "shop.ticks",
  ]);
});

Deno.test("metrics tell a hundred names of calls apart, and no more", async () => {
  using telemetry = new TestTelemetry();
  await using server = mount({ insecureAnyone: true });
  await server.ready;
  const names = Array.from({ length: 120 }, (_, index) => `call_${index}`);
  const many = contract(Object.fromEntries(names.map((name) => [name, call<void, string>()])));
  answer(server, many, Object.fromEntries(names.map((name) => [name, () => name])));
  await using wire = join({ ...server.addr, identity: "me" });
  const remote = caller(wire, many);
  await Promise.all(names.map((name) => remote[name]!()));
  const seen = new Set(telemetry.durations.map(({ labels }) => labels["rpc.method"]));
  assert(seen.has("_OTHER"));
  assert(seen.size <= 102, `${seen.size} names`);
});
