// Tests of a pool over TLS.
import { assertEquals } from "@std/assert";
import { Pool } from "@parley/parley/pool";
import { testCerts } from "../support/programs/certs.ts";
import { codeOf, errorOf, lines } from "../support/peers/servers.ts";
import { askOnce, backendOf, statsOf } from "./backends.ts";

Deno.test("Pool speaks TLS to its backends, and closes in order", async () => {
  const certs = await testCerts();
  await using backend = await backendOf("a", null, { tls: certs.server });
  const pool = new Pool({
    ...lines,
    backends: [backend.backend],
    tls: { caCerts: [certs.ca.cert] },
  });
  for (let i = 0; i < 3; i++) assertEquals(await askOnce(pool, "?"), "a ?");
  assertEquals([statsOf(pool, "a").dials, statsOf(pool, "a").leasesReused], [1, 2]);
  await pool.close();
  await backend.server.shutdown();
  assertEquals(backend.ends, ["in order"]);
});

Deno.test("Pool checks the name's certificate at each of its addresses, not the address's", async () => {
  const certs = await testCerts();
  await using backend = await backendOf("a", null, { tls: certs.server });
  const { port } = backend.backend;
  const tls = { caCerts: [certs.ca.cert] };
  const resolve = () => Promise.resolve(["127.0.0.1"]);
  await using right = new Pool({
    ...lines,
    tls,
    backends: [{ hostname: "localhost", port, resolve }],
  });
  assertEquals(await askOnce(right, "?"), "a ?");
  await using wrong = new Pool({
    ...lines,
    tls,
    backends: [{ hostname: "else.example", port, resolve }],
  });
  assertEquals(codeOf(await errorOf(wrong.acquire())), "ERR_CERT_WRONG_HOST");
});

Deno.test("Pool takes a backend's own TLS options before its own", async () => {
  const certs = await testCerts();
  await using backend = await backendOf("a", null, { tls: certs.server });
  const backends = [{ ...backend.backend, tls: { caCerts: [certs.ca.cert] } }];
  await using pool = new Pool({ ...lines, backends });
  assertEquals(await askOnce(pool, "?"), "a ?");
});
