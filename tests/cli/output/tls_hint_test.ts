// Tests of hints on TLS: where one side uses it and the other does not, commands say what to do.
import { assertEquals, assertMatch } from "@std/assert";
import { AddressError, ClosedError, FramingError, TlsError } from "../../../errors.ts";
import { delimited } from "../../../framing.ts";
import { hintFor } from "../../../cli/output/hints.ts";
import { oneSidedTlsHint, withTlsHint } from "../../../cli/output/tls_hint.ts";
import type { TypedAddress } from "../../../cli/command/address.ts";
import { serve } from "../../../server.ts";
import { hub } from "../../../wire/mod.ts";
import { testCerts } from "../../support/programs/certs.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import { runProgram } from "../../support/programs/program.ts";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

function addressOf(addr: unknown): TypedAddress {
  return { hostname: "127.0.0.1", port: (addr as Deno.NetAddr).port };
}

Deno.test("oneSidedTlsHint() says what to do at either side, and nothing where both do the same or none listens", async () => {
  const certs = await testCerts();
  await using plain = serve({ logger: quiet }, async (connection) => {
    for await (const message of connection) await connection.send(message);
  });
  await using secure = serve({ tls: certs.server, logger: quiet }, () => {});
  await Promise.all([plain.ready, secure.ready]);
  const [atPlain, atTls] = [addressOf(plain.addr), addressOf(secure.addr)];
  assertMatch(
    await oneSidedTlsHint({ address: atTls, tls: undefined }) ?? "",
    /add --tls, or --ca/,
  );
  assertMatch(await oneSidedTlsHint({ address: atPlain, tls: {} }) ?? "", /leave out --tls/);
  assertEquals(await oneSidedTlsHint({ address: atTls, tls: {} }), null);
  assertEquals(await oneSidedTlsHint({ address: atPlain, tls: undefined }), null);
  const none = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const address = addressOf(none.addr);
  none.close();
  assertEquals(await oneSidedTlsHint({ address, tls: {} }), null);
  for (
    const [error, tls] of [
      [new FramingError("ERR_FRAME_TOO_LARGE", "x"), undefined],
      [new ClosedError("ERR_RESET", "x"), undefined],
    ] as const
  ) {
    assertMatch(hintFor(await withTlsHint(error, { address: atTls, tls })) ?? "", /--tls/);
  }
  const atOther = new TlsError("ERR_TLS_HANDSHAKE", "x");
  assertMatch(
    hintFor(await withTlsHint(atOther, { address: atPlain, tls: {} })) ?? "",
    /leave out --tls/,
  );
  const refused = new AddressError("ERR_CONNECT_REFUSED", "x");
  assertMatch(
    hintFor(await withTlsHint(refused, { address: atTls, tls: undefined })) ?? "",
    /nothing listens/,
  );
});

Deno.test("parley connect and parley expose without TLS tell at a side with it to add --tls or --ca", async () => {
  const certs = await testCerts();
  await using secure = serve(
    { tls: certs.server, framing: delimited("\n"), logger: quiet },
    () => {},
  );
  await using centre = hub({ tls: certs.server, insecureAnyone: true, logger: quiet });
  await Promise.all([secure.ready, centre.ready]);
  const port = (addr: unknown) => String((addr as Deno.NetAddr).port);
  const ends = await Promise.all([
    runProgram(PARLEY_MAIN, ["connect", port(secure.addr)], { stdin: "hello\n" }),
    runProgram(PARLEY_MAIN, [
      ...["expose", port(centre.addr), "web", "127.0.0.1:1", "--identity", "a", "--no-reconnect"],
    ]),
  ]);
  for (const { code, stderr } of ends) {
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /^Hint: .*--tls, or --ca/m);
  }
});
