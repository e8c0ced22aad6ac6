// Tests of handled names: as many as are wanted, announced to peers as far as they fit; and handlers
// of one session alone.
import { assert, assertEquals } from "@std/assert";
import { handlersOf } from "../../wire/session/handlers.ts";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { askStream, echoStream, hubbed, mounted, readText, TOKEN } from "../support/peers/wires.ts";
import { recorder } from "../support/recording_logger.ts";
import { settles, until } from "../support/wait.ts";

const nameOf = (index: number) => `contract.with-a-long-name.call-number-${index}`;

Deno.test("500 names of one turn are one announcement, and each of them is served", async () => {
  let announcements = 0;
  await using test = await mounted({ onOffers: () => void announcements++ });
  const wire = await test.join("ann");
  for (let index = 0; index < 500; index++) wire.handle(`clock.call-${index}`, echoStream);
  const session = test.server.session("ann")!;
  await until("they are told", () => session.offers.length === 500);
  assertEquals(announcements, 1);
  assertEquals(await askStream(await session.open("clock.call-499"), "x"), "x");
});

Deno.test("names beyond what a frame holds are served though peers are not told, which the log says once", async () => {
  const { logger, lines } = recorder();
  await using test = await hubbed({ logger, presence: () => true });
  for (let index = 0; index < 1000; index++) test.server.handle(nameOf(index), echoStream);
  const mine = recorder();
  const handlers = Object.fromEntries(
    Array.from({ length: 1000 }, (_, index) => [nameOf(index), echoStream]),
  );
  // The longest identity and token take their share of the frame.
  const identity = "i".repeat(255);
  const wire = await test.join(identity, { handlers, logger: mine.logger });
  const ann = await test.join("ann");
  for (const offers of [wire.session!.offers, test.server.session(identity)!.offers]) {
    assert(offers.length > 200 && offers.length < 1000, `${offers.length}`);
    assertEquals(offers[0], nameOf(0));
  }
  assertEquals([test.server.handlers.length, wire.handlers.length], [1000, 1000]);
  const last = nameOf(999);
  const session = test.server.session(identity)!;
  for (
    const stream of [wire.open(last), session.open(last), ann.peer(identity).open(last)]
  ) {
    assertEquals(await settles("the echo", askStream(await stream, "x")), "x");
  }
  wire.handle("one-more", echoStream);
  assertEquals(await askStream(await session.open("one-more"), "x"), "x");
  for (const log of [lines, mine.lines]) {
    const warned = log.filter((line) => String(line[1]).includes("Not all names"));
    assertEquals(warned.length, 1);
  }
});

Deno.test("handlers of one session come before those of its wire, for that session alone, and end with it", async () => {
  await using test = await mounted({
    handlers: { who: async (stream) => await stream.write("the wire") },
  });
  const ann = await test.join("ann");
  const bob = await test.join("bob");
  const session = test.server.session("ann")!;
  const own = handlersOf(session);
  own.set("who", async (stream) => await stream.write("the session"));
  own.set("more", echoStream);
  await until("it is told", () => ann.session!.offers.length === 2);
  assertEquals(ann.session!.offers, ["who", "more"]);
  assertEquals(bob.session!.offers, ["who"]);
  assertEquals(await readText(await ann.open("who")), "the session");
  assertEquals(await askStream(await ann.open("more"), "x"), "x");
  assertEquals(await readText(await bob.open("who")), "the wire");
  assertEquals(codeOf(await errorOf(bob.open("more"))), "ERR_NO_HANDLER");
  own.delete("who");
  await until("the change is told", () => ann.session!.offers.join() === "who,more");
  assertEquals(await readText(await ann.open("who")), "the wire");
  // A joined wire's session has handlers of its own too.
  handlersOf(ann.session!).set("mine", echoStream);
  assertEquals(await askStream(await session.open("mine"), "y"), "y");
  session.abort();
  const again = await test.join("ann", { token: "ann" + TOKEN, reconnect: false });
  assertEquals(codeOf(await errorOf(again.open("more"))), "ERR_NO_HANDLER");
});
