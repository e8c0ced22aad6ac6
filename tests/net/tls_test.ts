// TLS of both backends: who is let in, what is refused, and how failures are reported.
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { AddressError, ClosedError, TlsError } from "../../errors.ts";
import { dial } from "../../net/dial.ts";
import { listen, type ListenTls } from "../../net/listen.ts";
import type { Incoming, Listener, Transport } from "../../net/transport/transport.ts";
import { createCa, createCertificate, type Credentials } from "../../tls/mod.ts";
import type { ResolvedClientTls, TlsBackend } from "../../tls/handshake/options.ts";
import { clientTls, sourceOf, testCerts } from "../support/programs/certs.ts";
import { CutProxy } from "../support/peers/cut_proxy.ts";
import { assertCode } from "../support/peers/transport_conformance.ts";
import { openDescriptors, settles, until } from "../support/wait.ts";

const linux = Deno.build.os === "linux";
const backends: readonly TlsBackend[] = ["deno", "node"];
const never: AbortSignal = new AbortController().signal;

/** A listener and what became of the first connection to it. */
async function withListener(
  tls: ListenTls,
  body: (port: number, listener: Listener) => Promise<void>,
): Promise<void> {
  const listener = await listen({ port: 0, tls });
  try {
    assert(listener.addr.transport === "tcp");
    await body(listener.addr.port, listener);
  } finally {
    listener.close();
  }
}

/** Dials and accepts at once, and returns both outcomes; what was opened is closed. */
async function meet(
  listener: Listener,
  port: number,
  client: ResolvedClientTls,
  use: (near: Transport, far: Transport) => Promise<void> = async () => {},
): Promise<{ near: unknown; far: unknown }> {
  const opening = listener.accept().then((incoming) => incoming!.open({ signal: never }));
  const dialling = dial({ hostname: "localhost", port, tls: client }, { signal: never });
  const [near, far] = await settles("handshake", Promise.allSettled([dialling, opening]));
  try {
    if (near.status === "fulfilled" && far.status === "fulfilled") await use(near.value, far.value);
  } finally {
    if (near.status === "fulfilled") near.value.close();
    if (far.status === "fulfilled") far.value.close();
  }
  return {
    near: near.status === "fulfilled" ? near.value : near.reason,
    far: far.status === "fulfilled" ? far.value : far.reason,
  };
}

function assertTls(error: unknown, code: string): void {
  assertInstanceOf(error, TlsError);
  assertEquals(error.code, code, error.message);
}

Deno.test("listen() with clientCa lets in who shows a certificate of it, and tells whose", async () => {
  const certs = await testCerts();
  const credentials = sourceOf(certs.server, { clientCa: [certs.ca.cert] });
  await withListener({ credentials }, async (port, listener) => {
    for (const backend of backends) {
      await meet(
        listener,
        port,
        clientTls(certs, { ...certs.client, backend }),
        async (near, far) => {
          const seen = far.tls?.peerCertificate;
          assertEquals(seen?.subject, "CN=agent-7");
          assertEquals(seen?.issuer, "CN=Test CA");
          assertEquals(far.tls?.protocol, "TLSv1.3");
          await near.write(new Uint8Array([1]));
          assertEquals(await far.read(), new Uint8Array([1]));
        },
      );
    }
  });
});

Deno.test("listen() with clientCa refuses who shows none, another authority's, or an expired one", async () => {
  const certs = await testCerts();
  const past = new Date(Date.now() - 40 * 86_400_000);
  const oldCa = await createCa({ name: "Old CA", now: past });
  const strangers: [string, string, Partial<Credentials>][] = [
    ["none", "ERR_TLS_HANDSHAKE", {}],
    [
      "another authority's",
      "ERR_CERT_UNTRUSTED",
      await createCertificate({ ca: await createCa({ name: "Other CA" }), client: true }),
    ],
    [
      "expired",
      "ERR_CERT_EXPIRED",
      await createCertificate({ ca: oldCa, client: true, days: 30, now: past }),
    ],
    [
      "a server's",
      "ERR_CERT_UNTRUSTED",
      await createCertificate({ ca: certs.ca, hosts: ["localhost"] }),
    ],
  ];
  const credentials = sourceOf(certs.server, { clientCa: [certs.ca.cert, oldCa.cert] });
  await withListener({ credentials }, async (port, listener) => {
    for (const [name, code, identity] of strangers) {
      for (const backend of backends) {
        const opening = listener.accept().then((incoming) => incoming!.open({ signal: never }));
        const refused = assertRejects(() => opening, TlsError);
        // With TLS 1.3 a client may learn of its refusal at the first bytes only.
        const attempt = async () => {
          const client = await dial({
            hostname: "localhost",
            port,
            tls: clientTls(certs, { ...identity, backend }),
          }, { signal: never });
          try {
            await client.read();
          } finally {
            client.close();
          }
        };
        const error = await assertRejects(attempt);
        assert(
          error instanceof TlsError || error instanceof ClosedError,
          `${name} by ${backend}: ${error}`,
        );
        assertEquals((await settles(`refusal of ${name}`, refused)).code, code);
      }
    }
  });
});

for (const backend of backends) {
  Deno.test(`dial() by ${backend} tells why it does not trust the server's certificate`, async () => {
    const certs = await testCerts();
    const past = new Date(Date.now() - 40 * 86_400_000);
    const oldCa = await createCa({ name: "Old CA", now: past });
    const cases: [string, Credentials][] = [
      ["ERR_CERT_WRONG_HOST", await createCertificate({ ca: certs.ca, hosts: ["example.com"] })],
      [
        "ERR_CERT_EXPIRED",
        await createCertificate({ ca: oldCa, hosts: ["localhost"], days: 30, now: past }),
      ],
      [
        "ERR_CERT_UNTRUSTED",
        await createCertificate({ ca: await createCa(), hosts: ["localhost"] }),
      ],
    ];
    for (const [code, identity] of cases) {
      await withListener({ credentials: sourceOf(identity) }, async (port, listener) => {
        const accepting = acceptAll(listener);
        const tls = clientTls(certs, { backend, caCerts: [certs.ca.cert, oldCa.cert] });
        const error = await assertRejects(() =>
          dial({ hostname: "localhost", port, tls }, { signal: never })
        );
        assertTls(error, code);
        listener.close();
        await accepting;
      });
    }
  });

  Deno.test(`dial() by ${backend} checks an address against the certificate`, async () => {
    const certs = await testCerts();
    await withListener({ credentials: sourceOf(certs.server) }, async (port, listener) => {
      const accepting = acceptAll(listener);
      const client = await dial(
        { hostname: "127.0.0.1", port, tls: clientTls(certs, { backend }) },
        {
          signal: never,
        },
      );
      client.close();
      listener.close();
      await accepting;
    });
  });

  Deno.test(`dial() by ${backend} fails on a port where nobody listens`, async () => {
    const certs = await testCerts();
    const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    gone.close();
    const tls = clientTls(certs, { backend });
    const target = { hostname: "127.0.0.1", port: gone.addr.port, tls };
    const error = await assertRejects(() => dial(target, { signal: never }), AddressError);
    assertEquals(error.code, "ERR_CONNECT_REFUSED");
  });

  Deno.test(`dial() by ${backend} fails on a server that does not speak TLS`, async () => {
    const certs = await testCerts();
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      const conn = await listener.accept();
      await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
      await conn.closeWrite();
      while (await conn.read(new Uint8Array(4096)).catch(() => null) !== null);
      conn.close();
    })();
    const target = {
      hostname: "127.0.0.1",
      port: listener.addr.port,
      tls: clientTls(certs, { backend }),
    };
    assertTls(await assertRejects(() => dial(target, { signal: never })), "ERR_TLS_HANDSHAKE");
    await serving;
    listener.close();
  });

  for (const client of backends) {
    Deno.test(`listen() by ${backend} agrees with ${client} on an application protocol or refuses`, async () => {
      const certs = await testCerts();
      const tls = { credentials: sourceOf(certs.server), alpnProtocols: ["two", "one"], backend };
      await withListener(tls, async (port, listener) => {
        const wanting = (alpnProtocols: string[]) =>
          clientTls(certs, { alpnProtocols, backend: client });
        const agreed = await meet(listener, port, wanting(["one"]));
        assertEquals((agreed.near as Transport).tls?.alpnProtocol, "one");
        assertEquals((agreed.far as Transport).tls?.alpnProtocol, "one");
        assertTls((await meet(listener, port, wanting(["three"]))).far, "ERR_TLS_HANDSHAKE");
        const silent = await meet(listener, port, wanting([]));
        assertTls(silent.far, "ERR_TLS_HANDSHAKE");
        assertStringIncludes((silent.far as TlsError).message, `wanted one of "two", "one"`);
      });
    });

    for (const cut of ["fin", "reset"] as const) {
      for (const side of ["client", "server"] as const) {
        Deno.test(
          `Transport over TLS from ${client} to ${backend}, fails with ERR_RESET at the ${side} when cut by ${cut}`,
          async () => await cutShort(client, backend, cut, side),
        );
      }
    }
  }
}

/** A session that ends without its own end was cut on the way: it must never look complete. */
async function cutShort(
  client: TlsBackend,
  server: TlsBackend,
  cut: "fin" | "reset",
  side: "client" | "server",
): Promise<void> {
  const certs = await testCerts();
  await withListener(
    { credentials: sourceOf(certs.server), backend: server },
    async (port, listener) => {
      const proxy = await CutProxy.open(port);
      try {
        await meet(
          listener,
          proxy.port,
          clientTls(certs, { backend: client }),
          async (near, far) => {
            await near.write(new Uint8Array([1]));
            assertEquals(await far.read(), new Uint8Array([1]));
            await far.write(new Uint8Array([2]));
            assertEquals(await near.read(), new Uint8Array([2]));
            const reading = (side === "client" ? near : far).read();
            reading.catch(() => {});
            if (cut === "fin") proxy.fin();
            else proxy.reset();
            const transport = side === "client" ? near : far;
            const end = async () => {
              for (let chunk = await reading; chunk !== null; chunk = await transport.read());
            };
            await assertCode("ERR_RESET", end());
          },
        );
      } finally {
        await proxy.close();
      }
    },
  );
}

Deno.test("listen() by node honours versions", async () => {
  const certs = await testCerts();
  const credentials = sourceOf(certs.server);
  await withListener({ credentials, minVersion: "TLSv1.3" }, async (port, listener) => {
    const old = await meet(listener, port, clientTls(certs, { maxVersion: "TLSv1.2" }));
    assertTls(old.near, "ERR_TLS_HANDSHAKE");
    assertTls(old.far, "ERR_TLS_HANDSHAKE");
  });
  await withListener({ credentials, maxVersion: "TLSv1.2" }, async (port, listener) => {
    const { near, far } = await meet(listener, port, clientTls(certs));
    assertEquals((near as Transport).tls?.protocol, "TLSv1.2");
    assertEquals((far as Transport).tls?.protocol, "TLSv1.2");
  });
});

Deno.test("listen() by node shows the certificate of the name that is asked for", async () => {
  const certs = await testCerts();
  const make = (host: string) => createCertificate({ ca: certs.ca, hosts: [host] });
  const sni = new Map([
    ["a.example.com", await make("a.example.com")],
    ["*.example.org", await make("*.example.org")],
  ]);
  const credentials = sourceOf(certs.server, { sni, clientCa: [certs.ca.cert] });
  await withListener({ credentials, alpnProtocols: ["p"] }, async (port, listener) => {
    for (const serverName of ["a.example.com", "A.Example.com", "b.example.org", "localhost"]) {
      const tls = clientTls(certs, { ...certs.client, serverName, alpnProtocols: ["p"] });
      const { near, far } = await meet(listener, port, tls);
      assert(!(near instanceof Error), `${serverName}: ${near}`);
      assertEquals((far as Transport).tls?.peerCertificate?.subject, "CN=agent-7");
    }
    const other = clientTls(certs, {
      ...certs.client,
      serverName: "b.a.example.com",
      alpnProtocols: ["p"],
    });
    assertTls((await meet(listener, port, other)).near, "ERR_CERT_WRONG_HOST");
  });
});

Deno.test("listen() by node shows changed certificates to new connections, and keeps the old ones open", async () => {
  const certs = await testCerts();
  const source = sourceOf(certs.server);
  await withListener({ credentials: source }, async (port, listener) => {
    await meet(listener, port, clientTls(certs), async (near, far) => {
      const ca = await createCa({ name: "New CA" });
      source.change(await createCertificate({ ca, hosts: ["localhost"] }));
      const next = await meet(listener, port, clientTls(certs, { caCerts: [ca.cert] }));
      assertEquals((next.near as Transport).tls?.peerCertificate?.issuer, "CN=New CA");
      await near.write(new Uint8Array([1]));
      assertEquals(await far.read(), new Uint8Array([1]));
    });
  });
});

Deno.test({
  name: "Incoming.open() by node frees the descriptor of a silent client as the signal aborts",
  ignore: !linux,
  fn: async () => {
    const certs = await testCerts();
    await withListener({ credentials: sourceOf(certs.server) }, async (port, listener) => {
      const before = openDescriptors();
      const silent = await Deno.connect({ hostname: "127.0.0.1", port });
      const incoming = await listener.accept();
      const controller = new AbortController();
      const opening = incoming!.open({ signal: controller.signal });
      const reason = new Error("late");
      controller.abort(reason);
      assertEquals(await assertRejects(() => opening), reason);
      await until("the descriptor is free", () => openDescriptors() <= before + 1);
      assertEquals(await silent.read(new Uint8Array(1)).catch(() => null), null);
      silent.close();
    });
  },
});

Deno.test({
  name: "dial() frees its descriptor when it is aborted during the handshake",
  ignore: !linux,
  fn: async () => {
    const certs = await testCerts();
    const mute = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const before = openDescriptors();
    const controller = new AbortController();
    const target = { hostname: "127.0.0.1", port: mute.addr.port, tls: clientTls(certs) };
    const dialling = dial(target, { signal: controller.signal });
    const accepted = await mute.accept();
    await accepted.read(new Uint8Array(4096));
    const reason = new Error("enough");
    controller.abort(reason);
    assertEquals(await assertRejects(() => dialling), reason);
    await until("the descriptor is free", () => openDescriptors() <= before + 1);
    accepted.close();
    mute.close();
  },
});

Deno.test("Incoming.refuse() by node ends the connection before its handshake", async () => {
  const certs = await testCerts();
  await withListener({ credentials: sourceOf(certs.server) }, async (port, listener) => {
    const client = await Deno.connect({ hostname: "127.0.0.1", port });
    (await listener.accept())!.refuse();
    assertEquals(await settles("end", client.read(new Uint8Array(1)).catch(() => null)), null);
    client.close();
  });
});

for (const backend of backends) {
  Deno.test(`Listener by ${backend} gives null once closed and frees its address`, async () => {
    const certs = await testCerts();
    const tls = { credentials: sourceOf(certs.server), backend };
    const listener = await listen({ port: 0, tls });
    assert(listener.addr.transport === "tcp");
    const { port } = listener.addr;
    const taken = await assertRejects(() => listen({ port, tls }), AddressError);
    assertEquals(taken.code, "ERR_ADDRESS_IN_USE");
    const waiting = listener.accept();
    listener.close();
    listener.close();
    assertEquals(await waiting, null);
    assertEquals(await listener.accept(), null);
    await until("the address is free", async () => {
      try {
        (await listen({ port, tls })).close();
        return true;
      } catch {
        return false;
      }
    });
  });
}

/** Finishes every handshake and closes what comes of it, until the listener is closed. */
async function acceptAll(listener: Listener): Promise<void> {
  const all: Promise<void>[] = [];
  for (let incoming: Incoming | null; (incoming = await listener.accept()) !== null;) {
    all.push(incoming.open({ signal: never }).then((transport) => transport.close(), () => {}));
  }
  await Promise.all(all);
}
