// Tests of the second look at a certificate that was refused: it makes the error better, and never costs it.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { TimeoutError, TlsError } from "../../../errors.ts";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import { createCa, createCertificate } from "../../../tls/mod.ts";
import { clientTls, sourceOf, testCerts } from "../../support/programs/certs.ts";
import { settles } from "../../support/wait.ts";

/** A server with an untrusted certificate that answers one connection; `onSecond` is called for the next. */
async function answersOnce(
  onSecond: () => void,
): Promise<{ port: number; close(): Promise<void> }> {
  const identity = await createCertificate({ ca: await createCa(), hosts: ["localhost"] });
  const server = await listen({ port: 0, tls: { credentials: sourceOf(identity) } });
  assert(server.addr.transport === "tcp");
  const { port } = server.addr;
  const relay = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const open: Deno.Conn[] = [];
  const serving = (async () => {
    const incoming = await server.accept();
    await incoming?.open({ signal: new AbortController().signal }).catch(() => {});
  })();
  const relaying = (async () => {
    const pipes: Promise<void>[] = [];
    for await (const near of relay) {
      open.push(near);
      if (open.length > 1) {
        onSecond();
        continue;
      }
      const far = await Deno.connect({ port });
      pipes.push(near.readable.pipeTo(far.writable).catch(() => {}));
      pipes.push(far.readable.pipeTo(near.writable).catch(() => {}));
    }
    await Promise.all(pipes);
  })();
  const close = async () => {
    relay.close();
    for (const conn of open.slice(1)) conn.close();
    server.close();
    await Promise.all([serving, relaying]);
  };
  return { port: relay.addr.port, close };
}

/** The error of a dial. */
async function refusal(port: number, signal: AbortSignal): Promise<Error> {
  const tls = clientTls(await testCerts(), { backend: "node" });
  const dialling = dial({ hostname: "localhost", port, tls }, { signal });
  return await settles("the dial", assertRejects(() => dialling, Error));
}

function assertUntrusted(error: Error): void {
  assert(error instanceof TlsError, `${error}`);
  assertEquals(error.code, "ERR_CERT_UNTRUSTED");
}

Deno.test("dial() by node tells of a certificate that it refused although the server answers no second time", async () => {
  let looks = 0;
  const server = await answersOnce(() => looks++);
  assertUntrusted(await refusal(server.port, new AbortController().signal));
  assertEquals(looks, 1);
  await server.close();
});

Deno.test("dial() by node tells of a certificate that it refused when its time runs out over a second look", async () => {
  const controller = new AbortController();
  const late = new TimeoutError("ERR_CONNECT_TIMEOUT", "Cannot connect in time");
  const server = await answersOnce(() => controller.abort(late));
  assertUntrusted(await refusal(server.port, controller.signal));
  await server.close();
});

Deno.test("dial() by node that is given up over a second look rejects with the reason", async () => {
  const controller = new AbortController();
  const reason = new Error("changed my mind");
  const server = await answersOnce(() => controller.abort(reason));
  assertStrictEquals(await refusal(server.port, controller.signal), reason);
  await server.close();
});
