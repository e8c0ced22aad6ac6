// TCP: addresses that cannot be used, aborts, and resets.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { AddressError } from "../../../errors.ts";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import type { Transport } from "../../../net/transport/transport.ts";
import { CutProxy } from "../../support/peers/cut_proxy.ts";
import { assertCode } from "../../support/peers/transport_conformance.ts";

const never: AbortSignal = new AbortController().signal;

Deno.test("listen() on a port in use fails with ERR_ADDRESS_IN_USE", async () => {
  const listener = await listen({ port: 0 });
  assert(listener.addr.transport === "tcp" && listener.addr.hostname === "127.0.0.1");
  const { port } = listener.addr;
  const error = await assertRejects(() => listen({ port }), AddressError);
  assertEquals(error.code, "ERR_ADDRESS_IN_USE");
  assertEquals(error.message, `Cannot listen on "127.0.0.1:${port}": the address is in use`);
  listener.close();
});

Deno.test("listen() on an address of another machine fails with ERR_ADDRESS_INVALID", async () => {
  const error = await assertRejects(() => listen({ hostname: "192.0.2.1", port: 0 }), AddressError);
  assertEquals(error.code, "ERR_ADDRESS_INVALID");
});

Deno.test("dial() tells who refused, and whom it could not find", async () => {
  const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  gone.close();
  const { port } = gone.addr;
  const refused = await assertRejects(() => dial({ port }, { signal: never }), AddressError);
  assertEquals(refused.code, "ERR_CONNECT_REFUSED");
  assertEquals(refused.message, `Cannot connect to "127.0.0.1:${port}": no program listens there`);
  const target = { hostname: "nobody.invalid", port };
  const lost = await assertRejects(() => dial(target, { signal: never }), AddressError);
  assertEquals(lost.code, "ERR_ADDRESS_INVALID");
});

Deno.test("dial() rejects with the reason of its signal", async () => {
  const reason = new Error("enough");
  const listener = await listen({ port: 0 });
  assert(listener.addr.transport === "tcp");
  const { port } = listener.addr;
  const aborted = AbortSignal.abort(reason);
  assertEquals(await assertRejects(() => dial({ port }, { signal: aborted })), reason);
  const controller = new AbortController();
  const dialling = dial({ port }, { signal: controller.signal });
  controller.abort(reason);
  assertEquals(await assertRejects(() => dialling), reason);
  listener.close();
});

Deno.test("Listener.accept() refuses a second call, and gives null once closed", async () => {
  const listener = await listen({ port: 0 });
  const waiting = listener.accept();
  await assertRejects(() => listener.accept(), TypeError, "another accept is under way");
  listener.unref();
  listener.ref();
  listener.close();
  listener.close();
  assertEquals(await waiting, null);
  assertEquals(await listener.accept(), null);
});

Deno.test("Transport over TCP fails with ERR_RESET when the peer resets", async () => {
  const listener = await listen({ port: 0 });
  assert(listener.addr.transport === "tcp");
  const proxy = await CutProxy.open(listener.addr.port);
  const near = await dial({ port: proxy.port }, { signal: never });
  const far = await (await listener.accept())!.open({ signal: never });
  await near.write(new Uint8Array([1]));
  assertEquals(await far.read(), new Uint8Array([1]));
  const reading = [near.read(), far.read()];
  proxy.reset();
  for (const one of reading) await assertCode("ERR_RESET", one);
  for (const one of [near, far]) {
    await assertCode("ERR_RESET", one.write(new Uint8Array(1)));
    one.close();
  }
  listener.close();
  await proxy.close();
});

Deno.test("Transport.tune() is there over TCP and takes any time of a connection", async () => {
  const listener = await listen({ port: 0 });
  assert(listener.addr.transport === "tcp");
  const near = await dial({ port: listener.addr.port }, { signal: never, keepAlive: true });
  const far = await (await listener.accept())!.open({ signal: never });
  far.close();
  near.tune!({ noDelay: false, keepAlive: false });
  near.close();
  near.tune!({ noDelay: true });
  listener.close();
});

Deno.test("Incoming.open() rejects with the reason of an aborted signal and closes", async () => {
  const listener = await listen({ port: 0 });
  assert(listener.addr.transport === "tcp");
  const near = await dial({ port: listener.addr.port }, { signal: never });
  const reason = new Error("enough");
  const incoming = await listener.accept();
  assertEquals(
    await assertRejects(() => incoming!.open({ signal: AbortSignal.abort(reason) })),
    reason,
  );
  assertEquals(await near.read(), null);
  near.close();
  listener.close();
});

Deno.test("Transport over TCP that can reset, and whose write failed, can be read to the end of what came before", async () => {
  const listener = await listen({ port: 0 }, { canReset: true });
  assert(listener.addr.transport === "tcp");
  const client = await dial({ port: listener.addr.port }, { signal: never, canReset: true });
  const server = await (await listener.accept())!.open({ signal: never });
  // The kernel keeps as much, whatever the transport has read of it.
  await server.write(new Uint8Array(100_000));
  server.reset?.();
  await assertCode("ERR_RESET", writeUntilRefused(client));
  await assertCode("ERR_RESET", client.write(new Uint8Array(1)));
  let bytes = 0;
  const reading = (async () => {
    for (let chunk = await client.read(); chunk !== null; chunk = await client.read()) {
      bytes += chunk.length;
    }
  })();
  await reading.catch(() => {});
  assertEquals(bytes, 100_000);
  client.close();
  listener.close();
});

/** A first write may still pass: the kernel learns of the reset in its own time. */
async function writeUntilRefused(transport: Transport): Promise<void> {
  for (;;) await transport.write(new Uint8Array(1));
}
