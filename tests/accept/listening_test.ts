// Tests of Listening: the listener and its certificates end together, and none is left after a failure.
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Listening } from "../../accept/listening.ts";
import { AddressError } from "../../errors.ts";
import { createCa, createCertificate } from "../../tls/mod.ts";

const certificate = await createCertificate({ ca: await createCa(), hosts: ["localhost"] });

Deno.test("Listening.open() has certificates with TLS only", async () => {
  for (const tls of [undefined, certificate]) {
    const { signal } = new AbortController();
    const plan = { where: { port: 0 }, tls, listenOptions: {} };
    const listening = await Listening.open(plan, { signal, onCertificateError() {} });
    assertEquals(listening.credentials !== null, tls !== undefined);
    const accepting = listening.listener.accept();
    listening.close();
    assertEquals(await accepting, null);
    listening.close();
  }
});

Deno.test("Listening.open() leaves nothing open where the port is taken", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const { signal } = new AbortController();
  const plan = { where: { port }, tls: certificate, listenOptions: {} };
  // The watch of the certificate's end is a timer: the test fails if it were left.
  await assertRejects(
    () => Listening.open(plan, { signal, onCertificateError() {} }),
    AddressError,
  );
});

Deno.test("Listening.open() rejects with the reason of its signal, whenever it aborts", async () => {
  const plan = { where: { port: 0 }, tls: certificate, listenOptions: {} };
  for (const hops of [0, 1, 4, 16]) {
    const controller = new AbortController();
    const reason = new Error("closed meanwhile");
    const { signal } = controller;
    const opening = Listening.open(plan, { signal, onCertificateError() {} });
    opening.catch(() => {});
    for (let hop = 0; hop < hops; hop++) await null;
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => opening), reason);
  }
});
