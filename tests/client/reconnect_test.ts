// How a Client dials again: one attempt at a time, jitter, limits, own policies, and what ends it.
import type { Resolved } from "../../options/resolved.ts";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import {
  AddressError,
  AuthError,
  Client,
  type ClientOptions,
  type ClientStatusEvent,
  type Connection,
  type ReconnectInfo,
  type ReconnectPolicy,
  TlsError,
} from "@parley/parley";
import { createCa, createCertificate } from "@parley/parley/tls";
import { isPermanentFailure } from "../../client/permanent_failure.ts";
import { nextDelay } from "../../async/backoff.ts";
import { ClientPeer, next as untilStatus } from "../support/peers/client_peer.ts";
import { testCerts } from "../support/programs/certs.ts";
import { DialWatch } from "../support/dial_watch.ts";
import { codeOf, lines } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";

function clientOf(peer: ClientPeer, options: Partial<ClientOptions> = {}): Client {
  return new Client({ port: peer.port, ...lines, ...options });
}

/** A peer that is away. */
async function absentPeer(): Promise<ClientPeer> {
  const peer = await ClientPeer.start();
  await peer.stop();
  return peer;
}

/** The next `count` events that announce an attempt. */
async function announcements(
  statuses: AsyncIterator<ClientStatusEvent, undefined>,
  count: number,
): Promise<Resolved<Pick<ClientStatusEvent, "attempt" | "delayMs" | "status">>[]> {
  const found = [];
  while (found.length < count) {
    const { value } = await settles("an announcement", statuses.next());
    if (value === undefined) throw new Error("The client was closed");
    const { attempt, delayMs, status } = value;
    if (delayMs !== undefined) found.push({ attempt, delayMs, status });
  }
  return found;
}

Deno.test("Client dials one at a time, after the delays that it tells, which are random within their bounds", async () => {
  using dials = new DialWatch();
  const peer = await absentPeer();
  const bounds = { minDelayMs: 2, maxDelayMs: 20 };
  await using client = clientOf(peer, { reconnect: bounds });
  const statuses = client.statuses();
  const told = await announcements(statuses, 16);
  await until("the last delay is over", () => dials.beganMs.length > 16);
  assertEquals(dials.mostAtOnce, 1);
  for (const [i, { attempt, delayMs, status }] of told.entries()) {
    assertEquals([attempt, status], [i + 1, "connecting"]);
    assert(delayMs >= nextDelay(attempt, 0, bounds) && delayMs <= nextDelay(attempt, 1, bounds));
    // A timer may be early by a part of a millisecond.
    assert(dials.beganMs[i + 1]! - dials.beganMs[i]! >= delayMs - 1);
  }
  // At the bound by then: nothing but the jitter tells them apart.
  const drawn = told.slice(4).map(({ delayMs }) => delayMs);
  assertEquals(new Set(drawn).size, drawn.length);
  assert(Math.max(...drawn) - Math.min(...drawn) > 3);
});

Deno.test("Client never dials a second time while an attempt hangs, and gives each up at its deadline", async () => {
  // An attempt that is not answered, and that takes a moment to end.
  using dials = new DialWatch((signal) =>
    new Promise((_, reject) =>
      signal.addEventListener("abort", () => setTimeout(reject, 5, signal.reason))
    )
  );
  const client = new Client({
    port: 9,
    timeoutMs: 15,
    reconnect: { minDelayMs: 1, maxDelayMs: 2 },
  });
  const statuses = client.statuses();
  await announcements(statuses, 6);
  client.send("x");
  client.flush();
  await until("the next attempt is under way", () => dials.now === 1);
  await client.close();
  // Nothing is left when it is closed.
  assertEquals([dials.mostAtOnce, dials.now, client.stats().overall.connectFailures >= 6], [
    1,
    0,
    true,
  ]);
  const { beganMs } = dials;
  assert(beganMs.slice(1).every((at, i) => at - beganMs[i]! >= 14));
});

Deno.test("Client's server that accepts and closes at once is dialled ever more seldom", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const refusing = (async () => {
    for await (const conn of listener) conn.close();
  })();
  const client = new Client({
    port: listener.addr.port,
    reconnect: { minDelayMs: 1, maxDelayMs: 1000, policy: ({ attempt }) => attempt },
  });
  const told = await announcements(client.statuses(), 12);
  assertEquals(told.map(({ attempt }) => attempt), Array.from({ length: 12 }, (_, i) => i + 1));
  // A link that dies at once was never one.
  assertEquals(told.at(-1)!.status, "connecting");
  const { connectionsOpened, connectAttempts, connectFailures } = client.stats().overall;
  assertEquals([connectionsOpened, connectAttempts, connectFailures], [0, 12, 12]);
  await client.close();
  listener.close();
  await refusing;
});

Deno.test("Client counts attempts anew after a link that has received something, or has lasted", async () => {
  await using peer = await ClientPeer.start();
  const reconnect = { minDelayMs: 1, maxDelayMs: 2, healthyAfterMs: 1000 };
  await using client = clientOf(peer, { reconnect, trialMs: 1 });
  const statuses = client.statuses();
  const lose = async (prepare: (link: Connection) => unknown) => {
    await untilStatus(statuses, "connected");
    const link = await peer.link();
    await prepare(link);
    await link.close();
    return (await announcements(statuses, 1))[0]!.attempt;
  };
  const useless = () => {};
  assertEquals([await lose(useless), await lose(useless), await lose(useless)], [1, 2, 3]);
  assertEquals([await lose((link) => link.send("An answer")), await lose(useless)], [1, 2]);
  const last = () =>
    until("it has lasted", () => (client.stats().connection?.onlineMs ?? 0) > 1500);
  assertEquals([await lose(last), await lose(useless)], [1, 2]);
});

Deno.test("Client with maxAttempts stays while its links come up, however short they last", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer, {
    reconnect: { minDelayMs: 1, maxDelayMs: 2, maxAttempts: 2 },
    trialMs: 1,
  });
  const statuses = client.statuses();
  for (let i = 0; i < 8; i++) {
    await untilStatus(statuses, "connected");
    await (await peer.link()).close();
  }
  await untilStatus(statuses, "connected");
  assertEquals(client.stats().overall.connectFailures, 0);
});

Deno.test("Client gives up after maxAttempts, with the last error", async () => {
  for (const maxAttempts of [0, 1, 3]) {
    const peer = await absentPeer();
    const client = clientOf(peer, { reconnect: { minDelayMs: 1, maxDelayMs: 2, maxAttempts } });
    const events = await Array.fromAsync(client.statuses());
    assertEquals(client.stats().overall.connectAttempts, maxAttempts + 1);
    assertEquals(
      events.map(({ attempt }) => attempt),
      Array.from({ length: maxAttempts + 1 }, (_, i) => i).concat(maxAttempts),
    );
    assertEquals([events.at(-1)!.status, codeOf(events.at(-1)!.error)], [
      "closed",
      "ERR_CONNECT_REFUSED",
    ]);
    assertEquals(codeOf(await client.receive().catch((why) => why)), "ERR_CONNECT_REFUSED");
  }
});

Deno.test("Client asks its policy, with what it may decide by, until that says null", async () => {
  const peer = await absentPeer();
  const asked: ReconnectInfo[] = [];
  const policy: ReconnectPolicy = (info) => asked.push(info) === 4 ? null : 3;
  using dials = new DialWatch();
  const client = clientOf(peer, { reconnect: { policy } });
  const events = await Array.fromAsync(client.statuses());
  assertEquals(events.map(({ delayMs }) => delayMs), [undefined, 3, 3, 3, undefined]);
  assertEquals(
    asked.map(({ attempt, error }) => [attempt, codeOf(error)]),
    [1, 2, 3, 4].map((n) => [n, "ERR_CONNECT_REFUSED"]),
  );
  assert(asked.every(({ elapsedMs }, i) => elapsedMs >= 2 * i));
  assert(dials.beganMs.slice(1).every((at, i) => at - dials.beganMs[i]! >= 2));
});

Deno.test("Client ends when its policy throws, or gives what is no delay", async () => {
  const mistake = new Error("A mistake in the policy");
  const policies: [ReconnectPolicy, (error: unknown) => boolean][] = [
    [() => {
      throw mistake;
    }, (error) => error === mistake],
    [() => -1, (error) => error instanceof RangeError],
    [() => NaN, (error) => error instanceof RangeError],
    [() => "soon" as unknown as number, (error) => error instanceof TypeError],
  ];
  for (const [policy, matches] of policies) {
    const client = clientOf(await absentPeer(), { reconnect: { policy } });
    const error = await client.ready.catch((why) => why);
    assert(matches(error));
    await client.closed;
    assertStrictEquals((await Array.fromAsync(client.statuses())).at(-1)!.error, error);
    await client.close();
  }
});

Deno.test("Client whose policy closes it is closed once", async () => {
  for (const result of [60_000, null, "throw"] as const) {
    const peer = await absentPeer();
    const client: Client = clientOf(peer, {
      reconnect: {
        policy: () => {
          client.close();
          if (result === "throw") throw new Error("A mistake in the policy");
          return result;
        },
      },
    });
    const statuses = await settles("closed", Array.fromAsync(client.statuses()));
    assertEquals(statuses.map(({ status }) => status), ["connecting", "closed"]);
    await settles("close()", client.close());
  }
});

Deno.test("Client ends by refused credentials, and by what no repetition heals; by nothing else", async () => {
  const finals = [
    new AuthError("ERR_AUTH", "Refused"),
    new Deno.errors.NotCapable("Requires net access"),
  ];
  const others = [
    // Of a file whose content is no certificate just now.
    new TypeError("Cannot use the certificate"),
    new RangeError("Out of range"),
    new TlsError("ERR_TLS_HANDSHAKE", "The peer wants a certificate"),
    new AddressError("ERR_CONNECT_REFUSED", "Nobody listens"),
    new TlsError("ERR_CERT_EXPIRED", "Expired"),
    new Deno.errors.NotFound("No such file"),
    "whatever",
    undefined,
  ];
  assertEquals(finals.map(isPermanentFailure), finals.map(() => true));
  assertEquals(others.map(isPermanentFailure), others.map(() => false));

  await using peer = await ClientPeer.start();
  const client = clientOf(peer);
  await client.ready;
  client.connection!.abort(finals[0]);
  const events = await Array.fromAsync(client.statuses());
  assertStrictEquals(events.at(-1)!.error, finals[0]);
  assertStrictEquals(await client.receive().catch((why) => why), finals[0]);
});

Deno.test("Client ends by a mistake in its options before it dials, wherever that shows", async () => {
  const { ca, client: { cert } } = await testCerts();
  const other = await createCertificate({ ca: await createCa(), client: true, name: "other" });
  const port = 9;
  const wrong: [ClientOptions, string][] = [
    [{ path: "/nowhere/at/all.sock", tls: { backend: "deno" } }, "TypeError"],
    [{ path: `/${"x".repeat(200)}` }, "ERR_SOCKET_PATH_TOO_LONG"],
    [{ path: `/${"x".repeat(200)}`, tls: {} }, "ERR_SOCKET_PATH_TOO_LONG"],
    [{ port, tls: { caCerts: ["-----BEGIN CERTIFICATE-----"] } }, "TypeError"],
    [{ port, tls: { caCerts: [ca.cert.slice(0, 300)] } }, "TypeError"],
    [{ port, tls: { cert, key: "-----BEGIN PRIVATE KEY-----" } }, "TypeError"],
    [{ port, tls: { cert, key: other.key } }, "ERR_CERT_KEY_MISMATCH"],
    [
      { port, tls: { certFile: "/a", keyFile: "/b", backend: "deno", serverName: "other" } },
      "TypeError",
    ],
  ];
  using dials = new DialWatch();
  for (const [options, expected] of wrong) {
    const client = new Client(options);
    const error = await settles("the end", client.ready.catch((why) => why));
    assertEquals(codeOf(error) ?? error.name, expected);
    await client.closed;
    assertEquals(client.stats().overall.connectAttempts, 0);
  }
  assertEquals(dials.beganMs, []);
});

Deno.test("Client comes back when its server does, again and again", async () => {
  const peer = await ClientPeer.start();
  await using client = clientOf(peer, { reconnect: { minDelayMs: 1, maxDelayMs: 5 } });
  for (let i = 0; i < 10; i++) {
    const link = await settles("a link", peer.link());
    await client.send(`${i}`);
    assertEquals(new TextDecoder().decode((await link.receive())!), `${i}`);
    await peer.stop();
    await peer.listen();
  }
  await peer.stop();
});
