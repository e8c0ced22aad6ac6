// Tests of presence: a peer that changes pays for what the hub announces about it, and nothing
// silences a control stream.
import { assertEquals } from "@std/assert";
import type { Link } from "../../wire/session/link.ts";
import { fitNames } from "../../wire/session/control_sender.ts";
import { encodeFrame } from "../../wire/protocol/frames.ts";
import { PresenceBoard } from "../../wire/presence.ts";
import type { Registry } from "../../wire/session/registry.ts";
import { TestClock } from "../support/simulation/test_clock.ts";
import { codeOf } from "../support/peers/servers.ts";
import { until } from "../support/wait.ts";
import { answer, hubbed, RawWire, TOKEN } from "../support/peers/wires.ts";

/** A link of which a board needs no more than this. */
function fakeLink(identity: string, told: string[]): Link {
  const control = {
    announcePeer: (of: string, names: readonly string[] | null) =>
      void told.push(`${identity}: ${of} ${names?.[0] ?? names}`),
  };
  return { established: { identity }, offers: [], control } as unknown as Link;
}

/** A board with these peers, the first of which has long names, and what it announced. */
function boardOf(...identities: string[]) {
  const told: string[] = [];
  const clock = new TestClock();
  const links = identities.map((identity) => fakeLink(identity, told));
  const registry = {
    links: { [Symbol.iterator]: () => links[Symbol.iterator]() },
    named: (identity: string) => links.find((link) => link.established.identity === identity),
  } as unknown as Registry;
  const board = new PresenceBoard({ registry, isVisible: () => true, report: () => {} }, clock);
  const change = (round: number) => {
    links[0]!.offers = Array.from(
      { length: 40 },
      (_, index) => `${round}-${index}-`.padEnd(220, "x"),
    );
    board.changed(links[0]!);
  };
  return { told, clock, links, board, change };
}

/** What a watching client learns of a round. */
const news = (watcher: string, round: number) =>
  `${watcher}: noisy ${`${round}-0-`.padEnd(220, "x")}`;

Deno.test("PresenceBoard tells a first change at once, and later ones of the same peer together, the last state", async () => {
  const { told, clock, links, board, change } = boardOf("noisy", "ann", "bob");
  for (let round = 0; round < 1000; round++) change(round);
  assertEquals(told, [news("ann", 0), news("bob", 0)]);
  // Another peer's news does not wait for the noisy one's.
  board.changed(links[1]!);
  assertEquals(told.slice(2), ["noisy: ann ", "bob: ann "]);
  await clock.advance(1000);
  assertEquals(told.slice(4), [news("ann", 999), news("bob", 999)]);
  change(1000);
  assertEquals(told.slice(6), [news("ann", 1000), news("bob", 1000)]);
  board.stop();
  assertEquals(clock.pending, 0);
  change(1001);
  assertEquals([told.length, clock.pending], [8, 0]);
});

Deno.test("PresenceBoard tells of a peer that never rests at 512 KiB a second, over all that see it", async () => {
  const watchers = Array.from({ length: 40 }, (_, index) => `watcher-${index}`);
  const { told, clock, board, change } = boardOf("noisy", ...watchers);
  for (let round = 0; round < 500; round++) {
    change(round);
    await clock.advance(20);
  }
  // Forty entries of about 9 KB each time, over ten seconds.
  const bytes = told.length * 9000;
  assertEquals(bytes < 11 * 512 * 1024 && bytes > 8 * 512 * 1024, true, `${bytes} bytes`);
  await clock.advance(2000);
  assertEquals(told.slice(-40), watchers.map((watcher) => news(watcher, 499)));
  assertEquals(clock.pending, 0);
  board.stop();
});

Deno.test("fitNames keeps as many names as a presence frame holds, to the byte", () => {
  const names = Array.from({ length: 70 }, (_, index) => `"${index}${"-".repeat(240)}`);
  const fitting = fitNames("eve", names);
  encodeFrame({ peers: [{ identity: "eve", streams: fitting }], gone: [] });
  assertEquals(fitting.length < 70 && fitting.length > 60, true);
  let tooLong = false;
  try {
    encodeFrame({
      peers: [{ identity: "eve", streams: names.slice(0, fitting.length + 1) }],
      gone: [],
    });
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
  const control = await raw.send({
    parley: 1,
    identity: "talker",
    token: `talker${TOKEN}`,
    streams: [],
  });
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
  const ann = await test.join("ann", {
    onPeers: (peers) => void seen.push([...peers.keys()].join(" ")),
  });
  await test.join("bob", { reconnect: false });
  await until("ann sees bob", () => ann.peers.has("bob"));
  await test.join("bob", { handlers: { chat: () => {} } });
  await until("ann sees the new one", () => ann.peers.get("bob")?.length === 1);
  assertEquals(seen.every((names) => names === "bob"), true, seen.join(", "));
});
