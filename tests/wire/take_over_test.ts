// Tests of a name that is taken over: by a second process, from a dead session, from one that does
// not listen.
import { assertEquals } from "@std/assert";
import { FreezingProxy } from "../support/peers/freezing_proxy.ts";
import { RawHubPeer } from "../support/peers/raw_hub_peer.ts";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { atRest, openDescriptors, settles, until } from "../support/wait.ts";
import { askStream, echoStream, hubbed, mounted } from "../support/peers/wires.ts";

Deno.test("join whose name a second process takes over ends for good, and does not take it back", async () => {
  const events: string[] = [];
  const errors: string[] = [];
  await using test = await mounted({
    onOpen: () => events.push("open"),
    onClose: (_, error) => events.push(`close ${codeOf(error)}`),
  });
  const first = await test.join("ann", {
    onClose: (_, error) => errors.push(`close ${codeOf(error)}`),
    onError: (error, { phase }) => errors.push(`${phase} ${codeOf(error)}`),
    onRetry: () => errors.push("retry"),
  });
  const second = await test.join("ann", { handlers: { echo: echoStream } });
  assertEquals(codeOf(await settles("the first", first.closed)), "ERR_NAME_TAKEN");
  assertEquals([first.status, first.session, second.status], ["closed", null, "connected"]);
  assertEquals(codeOf(await errorOf(first.open("x"))), "ERR_NAME_TAKEN");
  await until("the server is told", () => events.length === 3);
  // No client comes back: that would be another "open", within the 50 ms that the retries here take at most.
  await atRest(() => events.length, 150);
  assertEquals(events, ["open", "open", "close ERR_CLOSED"]);
  assertEquals(errors, ["session ERR_NAME_TAKEN", "close ERR_NAME_TAKEN"]);
  assertEquals(await askStream(await test.server.open("ann", "echo"), "still here"), "still here");
});

Deno.test("hub gives a name over at once, also from a session that is dead, and frees its descriptor", async () => {
  await using test = await hubbed();
  const { hostname, port } = test.server.addr as { hostname: string; port: number };
  await using proxy = await FreezingProxy.start({ hostname, port });
  const dead = await test.join("ann", { port: proxy.port, reconnect: false });
  const bob = await test.join("bob");
  const before = openDescriptors();
  proxy.freeze();
  const alive = await test.join("ann", { handlers: { echo: echoStream } });
  assertEquals(await askStream(await bob.peer("ann").open("echo"), "new"), "new");
  assertEquals(test.server.session("ann")?.id, alive.session?.id);
  // One came and one is cut, though its peer never answers.
  await until("the old connection is gone", () => openDescriptors() <= before + 1);
  dead.abort();
  await dead.closed;
});

Deno.test("hub tells the session whose name was taken over, and cuts it off when it stays", async () => {
  await using test = await hubbed();
  const { port } = test.server.addr as { port: number };
  using old = await RawHubPeer.dial(port);
  assertEquals((await old.join("ann"))?.["identity"], "ann");
  await test.join("ann");
  assertEquals(await old.answer(1), { ended: "ERR_NAME_TAKEN" });
  await settles("the cut", old.end(), 3000);
  assertEquals(test.server.sessions.length, 1);
});
