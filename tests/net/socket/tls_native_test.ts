// Tests of TLS by Deno itself: what it cannot honour is refused.
import { assertRejects } from "@std/assert";
import { dial } from "../../../net/dial.ts";
import { listen, type ListenTls } from "../../../net/listen.ts";
import type { ResolvedClientTls } from "../../../tls/handshake/options.ts";
import { clientTls, sourceOf, testCerts } from "../../support/programs/certs.ts";

const never: AbortSignal = new AbortController().signal;

Deno.test("listen() by deno refuses what it cannot honour", async () => {
  const certs = await testCerts();
  const plain = sourceOf(certs.server);
  const cases: [Partial<ListenTls>, string][] = [
    [{ credentials: sourceOf(certs.server, { clientCa: [certs.ca.cert] }) }, "clientCa"],
    [
      { credentials: sourceOf(certs.server, { sni: new Map([["a.example", certs.server]]) }) },
      "sni",
    ],
    [{ minVersion: "TLSv1.3" }, "minVersion"],
    [{ maxVersion: "TLSv1.2" }, "maxVersion"],
  ];
  for (const [more, option] of cases) {
    const tls: ListenTls = { credentials: plain, backend: "deno", ...more };
    await assertRejects(() => listen({ port: 0, tls }), TypeError, option);
  }
  const tls: ListenTls = { credentials: plain, backend: "deno" };
  await assertRejects(() => listen({ path: "/nowhere", tls }), TypeError, "path");
});

Deno.test("dial() by deno refuses what it cannot honour", async () => {
  const certs = await testCerts();
  const cases: [Partial<ResolvedClientTls>, string][] = [
    [{ minVersion: "TLSv1.3" }, "minVersion"],
    [{ maxVersion: "TLSv1.2" }, "maxVersion"],
    [{ ...certs.client, serverName: "a.example" }, "serverName"],
  ];
  for (const [more, option] of cases) {
    const tls = clientTls(certs, { backend: "deno", ...more });
    await assertRejects(() => dial({ port: 1, tls }, { signal: never }), TypeError, option);
  }
  const tls = clientTls(certs, { backend: "deno" });
  await assertRejects(() => dial({ path: "/nowhere", tls }, { signal: never }), TypeError, "path");
});
