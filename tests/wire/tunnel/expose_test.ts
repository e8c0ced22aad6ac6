// Tests of expose: a target that cannot be reached is known before the stream is accepted.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { expose, forward } from "@parley/parley/wire";
import { RemoteError } from "../../../errors.ts";
import { codeOf } from "../../support/peers/servers.ts";
import { assertCode } from "../../support/peers/transport_conformance.ts";
import { dialLocal } from "../../support/peers/tunnels.ts";
import { atRest, openDescriptors, settles, until } from "../../support/wait.ts";
import { hubbed } from "../../support/peers/wires.ts";

/** A port at which nothing listens. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("expose refuses with ERR_TARGET_REFUSED while its target is down, and tells what it could not reach", async () => {
  await using test = await hubbed();
  const told: unknown[] = [];
  const ann = await test.join("ann");
  const bob = await test.join("bob", { onError: (error) => told.push(error) });
  const port = freePort();
  expose(bob, "down", { port });
  const error = await assertRejects(() => ann.peer("bob").open("tcp:down"), RemoteError);
  assertEquals(error.code, "ERR_TARGET_REFUSED");
  assertEquals(told.map(codeOf), ["ERR_TARGET_REFUSED"]);
  assert(
    told[0] instanceof Error && told[0].message.includes(`127.0.0.1:${port}`),
    String(told[0]),
  );
  await until(
    "nothing of it is left",
    () => test.server.sessions.every((session) => session.stats().streams === 1),
  );

  // Through a forward it is a reset at once: the other side is there.
  const codes: string[] = [];
  const onError = (error: unknown) => void codes.push(codeOf(error));
  await using tunnel = await forward(ann, "down", { to: "bob", timeoutMs: 600_000, onError });
  const local = await dialLocal(tunnel);
  await assertCode("ERR_RESET", local.read());
  assertEquals(codes, ["ERR_TARGET_REFUSED"]);
  local.close();
});

/** A target that the kernel no longer answers for: its queue is full, and it accepts none. */
async function deafTarget(): Promise<{ port: number; [Symbol.dispose](): void }> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { port } = listener.addr;
  const held: Deno.Conn[] = [];
  for (;;) {
    const full = new AbortController();
    const timer = setTimeout(() => full.abort(), 200);
    try {
      held.push(await Deno.connect({ port, signal: full.signal }));
    } catch {
      break;
    } finally {
      clearTimeout(timer);
    }
  }
  return {
    port,
    [Symbol.dispose]: () => {
      listener.close();
      for (const conn of held) conn.close();
    },
  };
}

Deno.test({
  name:
    "expose refuses with ERR_TARGET_TIMEOUT when its target does not answer, and gives up when its caller does",
  ignore: Deno.build.os !== "linux", // other kernels answer for a full queue
  async fn() {
    await using test = await hubbed();
    const [ann, bob] = [await test.join("ann"), await test.join("bob")];
    using deaf = await deafTarget();
    expose(bob, "deaf", { port: deaf.port, timeoutMs: 50 });
    const error = await assertRejects(() => ann.peer("bob").open("tcp:deaf"), RemoteError);
    assertEquals(error.code, "ERR_TARGET_TIMEOUT");

    expose(bob, "slow", { port: deaf.port, timeoutMs: 600_000 });
    await until("what was tried is over", () => test.server.session("bob")?.stats().streams === 1);
    const before = await atRest(openDescriptors);
    const giving = new AbortController();
    const opening = ann.peer("bob").open("tcp:slow", { signal: giving.signal });
    await until("the target is dialled", () => openDescriptors() > before);
    giving.abort(new Error("enough"));
    await assertRejects(() => settles("opening", opening), Error, "enough");
    await until("the attempt is over", () => openDescriptors() === before);
  },
});
