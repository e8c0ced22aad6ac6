// Tests of how tunnels end: what broke anywhere on the way is a reset at both local sockets, and no
// other connection's loss.
import { assertEquals } from "@std/assert";
import { expose, type Forward, forward, type JoinedWire } from "@parley/parley/wire";
import type { Transport } from "../../net/transport/transport.ts";
import { codeOf } from "../support/peers/servers.ts";
import { assertCode } from "../support/peers/transport_conformance.ts";
import { dialLocal, HeldTarget } from "../support/peers/tunnels.ts";
import { settles, until } from "../support/wait.ts";
import { hubbed, type TestWire } from "../support/peers/wires.ts";

/** A connection through a tunnel, and all that it goes through. */
interface Parts {
  readonly test: TestWire;
  readonly ann: JoinedWire;
  readonly bob: JoinedWire;
  readonly tunnel: Forward;
  readonly target: HeldTarget;
  readonly local: Transport;
  readonly remote: Transport;
  readonly told: string[];
}

/** Runs `body` with a connection that has carried a byte each way. */
async function withTunnel(body: (parts: Parts) => Promise<void>): Promise<void> {
  await using test = await hubbed();
  using target = await HeldTarget.start();
  const [ann, bob] = [await test.join("ann"), await test.join("bob")];
  expose(bob, "held", { port: target.port });
  const told: string[] = [];
  const onError = (error: unknown) => void told.push(codeOf(error));
  await using tunnel = await forward(ann, "held", { to: "bob", onError });
  const [local, remote] = await connectThrough(tunnel, target);
  try {
    await body({ test, ann, bob, tunnel, target, local, remote, told });
  } finally {
    local.close();
    await tunnel.abort();
  }
}

async function connectThrough(
  tunnel: Forward,
  target: HeldTarget,
): Promise<[Transport, Transport]> {
  const [local, remote] = await Promise.all([dialLocal(tunnel), target.accept()]);
  await local.write(new Uint8Array([1]));
  assertEquals(await remote.read(), new Uint8Array([1]));
  await remote.write(new Uint8Array([2]));
  assertEquals(await local.read(), new Uint8Array([2]));
  return [local, remote];
}

/** What breaks a connection, and which of its ends are there to see it. */
const BREAKS:
  readonly (readonly [what: string, breakIt: (parts: Parts) => unknown, ...seenAt: string[]])[] = [
    ["its target resets it", ({ remote }) => remote.reset?.(), "local"],
    ["its client resets it", ({ local }) => local.reset?.(), "remote"],
    ["the hub is lost", ({ test }) => test.server.abort(), "local", "remote"],
    ["the exposing side is lost", ({ bob }) => bob.abort(), "local", "remote"],
    ["the forwarding side is lost", ({ ann }) => ann.abort(), "local", "remote"],
    ["the forward is closed", ({ tunnel }) => tunnel.abort(), "local", "remote"],
  ];

for (const [what, breakIt, ...seenAt] of BREAKS) {
  Deno.test(`forward and expose reset a connection at rest when ${what}`, () =>
    withTunnel(async (parts) => {
      const reading = seenAt.map((end) =>
        end === "local" ? parts.local.read() : parts.remote.read()
      );
      for (const read of reading) read.catch(() => {});
      await breakIt(parts);
      for (const read of reading) await assertCode("ERR_RESET", read);
      await until("it is over", () => parts.tunnel.connections === 0);
    }));
}

Deno.test("forward and expose reset a connection that breaks after one of its directions has ended", () =>
  withTunnel(async ({ local, remote, told, tunnel }) => {
    await local.closeWrite();
    assertEquals(await remote.read(), null);
    const reading = local.read();
    remote.reset?.();
    await assertCode("ERR_RESET", reading);
    await until("it is over", () => tunnel.connections === 0);
    assertEquals(told, ["ERR_RESET"]);
  }));

Deno.test("forward and expose close a connection in order once both of its directions have ended", () =>
  withTunnel(async ({ local, remote, told, tunnel }) => {
    await local.closeWrite();
    assertEquals(await settles("the end at the target", remote.read()), null);
    await remote.write(new Uint8Array([3]));
    await remote.closeWrite();
    assertEquals(await local.read(), new Uint8Array([3]));
    assertEquals(await settles("the end at the client", local.read()), null);
    await until("it is over", () => tunnel.connections === 0);
    assertEquals(told, []);
  }));

Deno.test("forward keeps its other connections when clients and targets reset theirs", () =>
  withTunnel(async ({ test, tunnel, target, local, remote }) => {
    const sessions = test.server.sessions.map(({ id }) => id);
    for (let i = 0; i < 20; i++) {
      const [client, server] = await connectThrough(tunnel, target);
      const [breaks, sees] = i % 2 === 0 ? [client, server] : [server, client];
      const reading = sees.read();
      breaks.reset?.();
      await assertCode("ERR_RESET", reading);
      sees.close();
    }
    await local.write(new Uint8Array([4]));
    assertEquals(await remote.read(), new Uint8Array([4]));
    assertEquals(test.server.sessions.map(({ id }) => id), sessions);
  }));

Deno.test("expose brings what its target said before it broke to the client, and then the reset", () =>
  withTunnel(async ({ local, remote, tunnel }) => {
    // A client that goes on sending, as one whose upload is refused: the target leaves most of it unread.
    const sending = (async () => {
      for (;;) await local.write(new Uint8Array(65_536));
    })().catch(() => {});
    const answer = new Uint8Array(20_000).map((_, i) => i % 251);
    await remote.write(answer);
    remote.reset?.();
    let at = 0;
    await assertCode(
      "ERR_RESET",
      (async () => {
        for (let chunk = await local.read(); chunk !== null; chunk = await local.read()) {
          assertEquals(chunk, answer.subarray(at, at += chunk.length));
        }
      })(),
    );
    assertEquals(at, answer.length);
    await sending;
    await until("it is over", () => tunnel.connections === 0);
  }));
