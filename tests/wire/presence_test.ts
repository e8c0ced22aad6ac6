// Tests of presence: whoever changes pays for what the hub tells of it, and nothing silences a control stream.
import { assertEquals } from "@std/assert";
import type { Link } from "../../wire/link.ts";
import { fitNames } from "../../wire/control_sender.ts";
import { encodeFrame } from "../../wire/frames.ts";
import { PresenceBoard } from "../../wire/presence.ts";
import type { Registry } from "../../wire/registry.ts";
import { codeOf } from "../support/servers.ts";
import { until } from "../support/wait.ts";
import { answer, hubbed, RawWire, TOKEN } from "../support/wires.ts";

/** A link of which a board needs no more than this. */
function fakeLink(identity: string, told: string[]): Link {
  const control = {
    tellPeer: (of: string, names: readonly string[] | null) =>
      void told.push(`${identity}: ${of} ${names?.[0] ?? names}`),
  };
  return { facts: { identity }, offers: [], control } as unknown as Link;
}

Deno.test("PresenceBoard tells a first change at once, and later ones of the same peer together, the last state", async () => {
  const told: string[] = [];
  const links = ["noisy", "ann", "bob"].map((identity) => fakeLink(identity, told));
  const registry = {
    links: { [Symbol.iterator]: () => links[Symbol.iterator]() },
    named: (identity: string) => links.find((link) => link.facts.identity === identity),
  } as unknown as Registry;
  const board = new PresenceBoard({ registry, isVisible: () => true, report: () => {} });
  const [noisy, ann] = links as [Link, Link];
  for (let round = 0; round < 1000; round++) {
    noisy.offers = Array.from({ length: 40 }, (_, index) => `${round}-${index}-${"x".repeat(200)}`);
    board.changed(noisy);
  }
  const first = `0-0-${"x".repeat(200)}`, last = `999-0-${"x".repeat(200)}`;
  assertEquals(told, [`ann: noisy ${first}`, `bob: noisy ${first}`]);
  // Another peer's news does not wait for the noisy one's.
  board.changed(ann);
  assertEquals(told.slice(2), ["noisy: ann ", "bob: ann "]);
  await until("the last state is told", () => told.length === 6);
  assertEquals(told.slice(4), [`ann: noisy ${last}`, `bob: noisy ${last}`]);
  board.changed(noisy);
  board.stop();
});

Deno.test("fitNames keeps as many names as a presence frame holds, to the byte", () => {
  const names = Array.from({ length: 70 }, (_, index) => `"${index}${"-".repeat(240)}`);
  const fitting = fitNames("eve", names);
  encodeFrame({ peers: [{ identity: "eve", streams: fitting }], gone: [] });
  assertEquals(fitting.length < 70 && fitting.length > 60, true);
  let tooLong = false;
  try {
    encodeFrame({ peers: [{ identity: "eve", streams: names.slice(0, fitting.length + 1) }], gone: [] });
  } catch {
    tooLong = true;
  }
  assertEquals(tooLong, true);
  const few = ["a", "b"];
  assertEquals(fitNames("eve", few) === few, true);
});

Deno.test("hub with a client whose names do not fit a presence frame goes on telling everything else, and reports what it left out", async () => {
  const errors: string[] = [];
  await using test = await hubbed({
    presence: () => true,
    onError: (error, { session }) => void errors.push(`${codeOf(error)} ${session?.identity}`),
  });
  const watcher = await test.join("watcher");
  await using raw = await RawWire.dial((test.server.addr as { port: number }).port);
  const control = await raw.send({ parley: 1, identity: "talker", token: `talker${TOKEN}`, streams: [] });
  await answer(control);
  const names = Array.from({ length: 64 }, (_, index) => `${index}`.padEnd(252, "-"));
  await control.write({ streams: [...names, "y".repeat(42)] });
  await until("the watcher hears of them", () => (watcher.peers.get("talker")?.length ?? 0) > 60);
  assertEquals(errors, ["ERR_FRAME_TOO_LARGE talker"]);
  await test.join("late");
  await until("the watcher sees who is late", () => watcher.peers.has("late"));
  test.server.handle("new", () => {});
  await until(
    "the watcher hears of the hub's new name",
    () => watcher.session?.offers.includes("new") ?? false,
  );
});

Deno.test("hub whose presence throws shows nothing, tells of the error, and goes on", async () => {
  const errors: string[] = [];
  let broken = true;
  await using test = await hubbed({
    presence: () => {
      if (broken) throw new Error("no list");
      return true;
    },
    onError: (error, { phase }) => void errors.push(`${phase} ${(error as Error).message}`),
  });
  const ann = await test.join("ann");
  await test.join("bob");
  await until("it was told", () => errors.length > 0);
  assertEquals([errors[0], ann.peers.size], ["hook no list", 0]);
  broken = false;
  await test.join("cid");
  await until("ann sees cid", () => ann.peers.has("cid"));
});

Deno.test("hub: a peer that takes its name over is told of as there, and not as gone", async () => {
  await using test = await hubbed({ presence: () => true });
  const seen: string[] = [];
  const ann = await test.join("ann", { onPeers: (peers) => void seen.push([...peers.keys()].join(" ")) });
  await test.join("bob", { reconnect: false });
  await until("ann sees bob", () => ann.peers.has("bob"));
  await test.join("bob", { handlers: { chat: () => {} } });
  await until("ann sees the new one", () => ann.peers.get("bob")?.length === 1);
  assertEquals(seen.every((names) => names === "bob"), true, seen.join(", "));
});
