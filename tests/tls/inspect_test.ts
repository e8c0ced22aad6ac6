// Tests of inspectCertificate() and fetchCertificates(): what is wrong with a certificate, by what
// a peer would say.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { TimeoutError, TlsError } from "../../errors.ts";
import { serve } from "../../server.ts";
import {
  type CertificateReport,
  createCa,
  fetchCertificates,
  inspectCertificate,
} from "../../tls/mod.ts";
import { testCerts } from "../support/programs/certs.ts";

const DAY_MS = 86_400_000;

function codes(report: CertificateReport): string[] {
  return report.faults.map((fault) => fault.code);
}

Deno.test("inspectCertificate() finds nothing wrong where nothing is, and looks at nothing it was not asked for", async () => {
  const { ca, server } = await testCerts();
  const bare = await inspectCertificate(server.cert);
  assertEquals([bare.keyMatches, bare.signed, bare.forHost, codes(bare)], [null, null, null, []]);
  const whole = await inspectCertificate(server.cert + ca.cert, {
    key: server.key,
    ca: ca.cert,
    hostname: "127.0.0.1",
  });
  assertEquals([whole.keyMatches, whole.signed, whole.forHost, codes(whole)], [
    true,
    "yes",
    true,
    [],
  ]);
  assertEquals(whole.certificates.map(({ subject }) => subject), ["CN=localhost", "CN=Test CA"]);
});

Deno.test("inspectCertificate() names every fault, what a peer complains of first in front", async () => {
  const { ca, server, client } = await testCerts();
  const other = await createCa({ name: "Test CA" });
  const later = new Date(Date.now() + 91 * DAY_MS);
  const all = { key: client.key, ca: other.cert, hostname: "example.com", now: later };
  const report = await inspectCertificate(server.cert, all);
  assertEquals(codes(report), [
    "ERR_CERT_EXPIRED",
    "ERR_CERT_KEY_MISMATCH",
    "ERR_CERT_UNTRUSTED", // of the same name as the right one, but with another key
    "ERR_CERT_WRONG_HOST",
  ]);
  assertEquals(report.daysLeft, -2);
  assert(report.faults.every((fault) => fault instanceof TlsError));
  const early = await inspectCertificate(server.cert, {
    ca: ca.cert,
    now: new Date(Date.now() - DAY_MS),
  });
  assertEquals(codes(early), ["ERR_CERT_EXPIRED", "ERR_CERT_UNTRUSTED"], "neither is valid yet");
  const byLeaf = await inspectCertificate(client.cert, { ca: server.cert });
  assertEquals(codes(byLeaf), ["ERR_CERT_UNTRUSTED"], "a server's certificate is no authority");
});

Deno.test("inspectCertificate() refuses texts that it cannot read", async () => {
  const { server } = await testCerts();
  await assertRejects(() => inspectCertificate("nothing"), TypeError, 'no "CERTIFICATE" block');
  await assertRejects(() => inspectCertificate(server.cert, { ca: "nothing" }), TypeError);
  await assertRejects(
    () => inspectCertificate(server.cert, { key: server.cert }),
    TypeError,
    "private key",
  );
});

Deno.test("fetchCertificates() gets the chain of a server that nobody has to trust", async () => {
  const { ca, server: identity } = await testCerts();
  await using server = serve({
    // A server that wants a certificate shows its own before.
    tls: { cert: identity.cert + ca.cert, key: identity.key, clientCa: ca.cert },
    onError() {},
  }, () => {});
  await server.ready;
  const { pem, protocol } = await fetchCertificates({ ...server.addr });
  assertEquals(protocol, "TLSv1.3");
  const report = await inspectCertificate(pem, { ca: ca.cert, hostname: "localhost" });
  assertEquals([report.certificates.length, report.signed, codes(report)], [2, "yes", []]);
});

Deno.test("fetchCertificates() gives up on what is no TLS server, and checks its options before", async () => {
  await using plain = serve((connection) => connection.send("hello, this is no TLS at all"));
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await plain.ready;
  const refused = await assertRejects(() => fetchCertificates({ ...plain.addr }), TlsError);
  assertEquals(refused.code, "ERR_TLS_HANDSHAKE");
  const { port } = silent.addr;
  const late = await assertRejects(() => fetchCertificates({ port, timeoutMs: 50 }), TimeoutError);
  assertEquals(late.code, "ERR_CONNECT_TIMEOUT");
  const reason = new Error("enough");
  const given = await assertRejects(() =>
    fetchCertificates({ port, signal: AbortSignal.abort(reason) })
  );
  assertEquals(given, reason);
  await assertRejects(() => fetchCertificates({}), TypeError, 'one of "port" and "path"');
  await assertRejects(() => fetchCertificates({ port, timeoutMs: 0 }), RangeError);
});
