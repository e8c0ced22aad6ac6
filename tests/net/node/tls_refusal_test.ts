// Tests of refusals: a refused client learns it by an alert, and none of its bytes get in.
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect } from "node:tls";
import { TlsError } from "../../../errors.ts";
import { listen } from "../../../net/listen.ts";
import { createCa, createCertificate, type Credentials } from "../../../tls/mod.ts";
import type { ServerCredentials, TlsVersion } from "../../../tls/handshake/options.ts";
import { sourceOf, testCerts } from "../../support/programs/certs.ts";
import { settles } from "../../support/wait.ts";

const never: AbortSignal = new AbortController().signal;
const pastMs = Date.now() - 40 * 86_400_000;

/** What a foreign client gets from a server that refuses it. */
async function told(
  server: Partial<ServerCredentials>,
  client: Partial<Credentials>,
  maxVersion: TlsVersion,
  servername = "localhost",
): Promise<{ said: string; refusal: TlsError }> {
  const certs = await testCerts();
  const listener = await listen({ port: 0, tls: { credentials: sourceOf(certs.server, server) } });
  assert(listener.addr.transport === "tcp");
  const opening = listener.accept().then((incoming) => incoming!.open({ signal: never }));
  const refusing = assertRejects(() => opening, TlsError);
  const { promise: said, resolve } = Promise.withResolvers<string>();
  const socket = connect({
    host: "127.0.0.1",
    port: listener.addr.port,
    servername,
    ca: [certs.ca.cert],
    maxVersion,
    ...client,
  });
  socket.on(
    "error",
    (error: Error & { code?: string }) => resolve(`${error.code} ${error.message}`),
  );
  socket.on("close", () => resolve("an end without a word"));
  socket.write("hello before anybody was let in");
  socket.resume();
  try {
    return {
      said: await settles("the refusal", said),
      refusal: await settles("the reason", refusing),
    };
  } finally {
    socket.destroy();
    listener.close();
  }
}

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  Deno.test(`listen() with clientCa refuses by an alert whom it does not let in, with ${maxVersion}`, async () => {
    const { ca, client, server } = await testCerts();
    const oldCa = await createCa({ now: new Date(pastMs) });
    const stranger = await createCertificate({
      ca: await createCa(),
      client: true,
      name: "stranger",
    });
    const expired = await createCertificate({
      ca: oldCa,
      client: true,
      days: 30,
      now: new Date(pastMs),
    });
    const mutual = { clientCa: [ca.cert, oldCa.cert] };
    const named = { ...mutual, sni: new Map([["b.example", server]]) };
    const pinned = { pins: new Set(["00".repeat(32)]) };
    const cases: [string, string, Partial<ServerCredentials>, Partial<Credentials>, string?][] = [
      ["none", "ERR_TLS_HANDSHAKE", mutual, {}],
      ["another authority's", "ERR_CERT_UNTRUSTED", mutual, stranger],
      ["an expired one", "ERR_CERT_EXPIRED", mutual, expired],
      [
        "another authority's under another name",
        "ERR_CERT_UNTRUSTED",
        named,
        stranger,
        "b.example",
      ],
      ["none where one is pinned", "ERR_TLS_HANDSHAKE", pinned, {}],
      ["another than the pinned one", "ERR_CERT_UNTRUSTED", pinned, client],
    ];
    for (const [what, code, credentials, identity, name] of cases) {
      const { said, refusal } = await told(credentials, identity, maxVersion, name);
      // A name that the certificate lacks is the client's own complaint, which comes with TLS 1.2
      // before the alert.
      if (name === undefined) assertMatch(said, /ALERT/, what);
      assertEquals(refusal.code, code, what);
    }
  });
}
