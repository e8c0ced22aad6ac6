// Client's onConnect: first on each link, may fail, is bounded by time, by the link's end and by close().
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  AuthError,
  Client,
  type ClientStatusEvent,
  ClosedError,
  type Connection,
} from "@parley/parley";
import { text } from "../support/bytes.ts";
import { clientOf, ClientPeer, next, soon, take } from "../support/peers/client_peer.ts";
import { codeOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";

/** The next message of a link as text. */
async function read(link: Connection): Promise<string> {
  return text((await link.receive())!);
}

/** The next event that has an error. */
async function failure(
  statuses: AsyncIterator<ClientStatusEvent, undefined>,
): Promise<ClientStatusEvent> {
  for (;;) {
    const { value } = await settles("a failure", statuses.next());
    if (value === undefined) throw new Error("No failure came");
    if (value.error !== undefined) return value;
  }
}

Deno.test("Client.onConnect goes first on each link, before what waited, and learns whether it is the first", async () => {
  await using peer = await ClientPeer.start();
  const firsts: boolean[] = [];
  await using client = clientOf(peer, {
    onConnect: async (link, { first }) => {
      firsts.push(first);
      await link.send("hello");
      assertEquals(text((await link.receive())!), "welcome");
      void link.send("thanks");
    },
  });
  for (const round of ["1", "2", "3"]) {
    const waiting = client.send(`waited ${round}`);
    const link = await peer.link();
    assertEquals(await read(link), "hello");
    // Whatever comes, nothing is sent before the hello was answered, and the link counts for nothing.
    assertEquals([client.connection, client.status === "connected"], [null, false]);
    await link.send("welcome");
    await waiting;
    assertEquals([await read(link), await read(link)], ["thanks", `waited ${round}`]);
    await link.send(`for the reader ${round}`);
    assertEquals(await take(client), `for the reader ${round}`);
    await link.close();
  }
  assertEquals(firsts, [true, false, false]);
});

Deno.test("Client.onConnect may be a plain function, and leaves the rest of what came to the reader", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer, { onConnect: (link) => void link.send("hello") });
  const link = await peer.link();
  await link.send("unasked");
  assertEquals([await read(link), await take(client)], ["hello", "unasked"]);
});

Deno.test("Client whose onConnect fails has no link, tells why, and tries again after growing delays", async () => {
  await using peer = await ClientPeer.start();
  const mistake = new TypeError("A mistake in onConnect");
  const failures: (() => unknown)[] = [
    () => {
      throw mistake;
    },
    () => Promise.reject(mistake),
    (link?: Connection) => link!.receive().then(() => Promise.reject(mistake)),
  ];
  let tries = 0;
  await using client = clientOf(peer, {
    reconnect: { policy: ({ attempt }) => attempt },
    onConnect: (link) => (failures[tries++] as ((link: Connection) => unknown) | undefined)?.(link),
  });
  const statuses = client.statuses();
  const waiting = client.send("waited");
  for (let attempt = 1; attempt <= failures.length; attempt++) {
    if (attempt === failures.length) await (await peer.link()).send("An answer is no success");
    else await peer.link();
    const event = await failure(statuses);
    assertStrictEquals(event.error, mistake);
    assertEquals([event.status, event.attempt, event.delayMs], ["connecting", attempt, attempt]);
    assertEquals([event.loss, event.serverLeft], [undefined, undefined]);
  }
  const link = await peer.link();
  await waiting;
  assertEquals(await read(link), "waited");
  assertEquals(client.stats().overall.connectFailures, failures.length);
});

Deno.test("Client whose onConnect rejects with an AuthError ends by it, and no other attempt is made", async () => {
  await using peer = await ClientPeer.start();
  const refused = new AuthError("ERR_AUTH", "The server refused the password");
  const client = clientOf(peer, { onConnect: () => Promise.reject(refused) });
  const waiting = client.send("waits");
  assertStrictEquals(await client.ready.catch((why) => why), refused);
  await client.closed;
  await assertRejects(() => waiting, ClosedError);
  assertStrictEquals(await client.receive().catch((why) => why), refused);
  assertEquals(client.stats().overall.connectAttempts, 1);
});

Deno.test("Client.onConnect has what is left of timeoutMs; then the link is cut, and its signal says so", async () => {
  await using peer = await ClientPeer.start();
  let aborted = false;
  await using client = clientOf(peer, {
    timeoutMs: 80,
    onConnect: (link) => {
      link.signal.addEventListener("abort", () => aborted = true);
      return new Promise(() => {});
    },
  });
  const { error } = await failure(client.statuses());
  assertEquals(codeOf(error), "ERR_CONNECT_TIMEOUT");
  assert((error as Error).message.includes(`within 80 ms: "onConnect" had not finished`));
  await until("its signal says so", () => aborted);
  await (await peer.link()).inputEnded;
});

Deno.test("Client.close() ends an onConnect that is under way at once, and leaves nothing open", async () => {
  await using peer = await ClientPeer.start();
  const begun = Promise.withResolvers<Connection>();
  const client = clientOf(peer, {
    onConnect: (link) => {
      begun.resolve(link);
      return link.receive();
    },
  });
  const link = await begun.promise;
  await settles("close()", client.close(), 5000);
  assertEquals([link.status, client.status, client.connection], ["closed", "closed", null]);
  assertEquals((await Array.fromAsync(client.statuses())).map(({ status }) => status), ["closed"]);
  await assertRejects(() => client.ready, ClosedError);
});

Deno.test("Client.onConnect reads the last words of a server that ends the link, and says what they mean", async () => {
  await using peer = await ClientPeer.start();
  const client = clientOf(peer, {
    onConnect: async (link) => {
      if (await read(link) === "denied") throw new AuthError("ERR_AUTH", "Denied");
    },
  });
  const link = await peer.link();
  await link.send("denied");
  await link.close();
  await settles("the end", client.closed);
  const { error, serverLeft } = (await Array.fromAsync(client.statuses())).at(-1)!;
  assertEquals([codeOf(error), serverLeft], ["ERR_AUTH", "orderly"]);
});

Deno.test("Client gives up an onConnect that waits for something else than its link, once that has ended", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer, {
    timeoutMs: 60_000,
    reconnect: { minDelayMs: 60_000 },
    onConnect: () => new Promise(() => {}),
  });
  await (await peer.link()).close();
  const { error, serverLeft } = await failure(client.statuses());
  assertEquals([codeOf(error), serverLeft], ["ERR_CLOSED", "orderly"]);
  assert((error as Error).message.includes(`before "onConnect" had finished`));
});

Deno.test("Client with reconnect: false ends by the error of its onConnect", async () => {
  await using peer = await ClientPeer.start();
  const mistake = new Error("No");
  const client = clientOf(peer, { reconnect: false, onConnect: () => Promise.reject(mistake) });
  await client.closed;
  assertStrictEquals(await client.receive().catch((why) => why), mistake);
});

Deno.test("Client delivers what came behind onConnect on a link that has ended by then, and keeps what waits", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer, {
    onConnect: async (link, { first }) => {
      await link.receive();
      if (first) await link.inputEnded;
    },
  });
  const statuses = client.statuses();
  // So large that it would be begun at once.
  const waits = "x".repeat(200_000);
  const waiting = client.send(waits);
  const first = await peer.link();
  for (const message of ["welcome", "and", "goodbye"]) void first.send(message);
  await first.close();
  assertEquals([await take(client), await take(client)], ["and", "goodbye"]);
  assertEquals((await next(statuses, "reconnecting")).serverLeft, "orderly");
  const second = await peer.link();
  await second.send("welcome");
  await waiting;
  assert(await settles("what waited", read(second)) === waits);
  assertEquals(await first.receive(), null);
});

Deno.test("Client refuses an onConnect that is no function, and a trialMs that is no duration", () => {
  const wrong = { port: 1, onConnect: "hello" as unknown as () => void };
  assertThrows(() => new Client(wrong), TypeError, "onConnect");
  assertThrows(() => new Client({ port: 1, trialMs: -1, reconnect: soon }), RangeError, "trialMs");
});
