// Every transport that there is, through the one suite.
import { assert } from "@std/assert";
import { ProxySources } from "../../net/transport/proxy_sources.ts";
import { dial } from "../../net/dial.ts";
import { listen, type ListenTarget } from "../../net/listen.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { ResolvedClientTls, TlsBackend } from "../../tls/handshake/options.ts";
import { clientTls, sourceOf, testCerts } from "../support/programs/certs.ts";
import { lineTcp4 } from "../support/peers/proxy_headers.ts";
import { conformance, type TransportPair } from "../support/peers/transport_conformance.ts";

const windows = Deno.build.os === "windows";

conformance("memory", () => {
  const [near, far] = memoryPair();
  return Promise.resolve({ near, far });
}, { resets: true });

conformance("TCP", () => pairOver({ port: 0 }));
conformance("TCP of node", () => pairOver({ port: 0 }, undefined, { dial: true, listen: true }), {
  resets: true,
});
conformance("TCP behind a balancer", () => pairOver({ port: 0 }, undefined, { header: true }));
conformance(
  "TCP of node behind a balancer",
  () => pairOver({ port: 0 }, undefined, { dial: true, listen: true, header: true }),
  {
    resets: true,
  },
);
conformance("TCP from Deno to node", () => pairOver({ port: 0 }, undefined, { listen: true }));

conformance("TLS of Deno", () => tlsPair("deno", "deno"), { closesAtOnce: false });
conformance("TLS of node", () => tlsPair("node", "node"), { resets: true });
conformance("TLS from Deno to node", () => tlsPair("deno", "node"), { closesAtOnce: false });
conformance("TLS from node to Deno", () => tlsPair("node", "deno"), { closesAtOnce: false });

if (!windows) {
  conformance("a unix socket", () => onPath((path) => pairOver({ path })));
  conformance(
    "a unix socket behind a balancer",
    () => onPath((path) => pairOver({ path }, undefined, { header: true })),
  );
  conformance("TLS over a unix socket", () =>
    onPath(async (path) => {
      const certs = await testCerts();
      const tls = { credentials: sourceOf(certs.server, { clientCa: [certs.ca.cert] }) };
      return await pairOver({ path, tls }, clientTls(certs, certs.client));
    }));
}

async function tlsPair(client: TlsBackend, server: TlsBackend): Promise<TransportPair> {
  const certs = await testCerts();
  const tls = { credentials: sourceOf(certs.server), backend: server };
  return await pairOver({ port: 0, tls }, clientTls(certs, { backend: client }));
}

async function pairOver(
  target: ListenTarget,
  tls?: ResolvedClientTls,
  how: {
    readonly dial?: boolean | undefined;
    readonly listen?: boolean | undefined;
    readonly header?: boolean | undefined;
  } = {},
): Promise<TransportPair> {
  const { signal } = new AbortController();
  const listener = await listen(target, {
    canReset: how.listen,
    ...how.header && { proxySources: sourcesOf("path" in target ? "unix" : "127.0.0.1") },
  });
  try {
    const { addr } = listener;
    assert(addr.transport !== "memory");
    const accepting = listener.accept().then((incoming) => incoming!.open({ signal }));
    const where = addr.transport === "unix"
      ? { path: addr.path }
      : { hostname: "localhost", port: addr.port };
    const [near, far] = await Promise.all([
      dial({ ...where, tls }, { signal, canReset: how.dial }).then(async (near) => {
        if (how.header) await near.write(lineTcp4("192.0.2.7", 40_000));
        return near;
      }),
      accepting,
    ]);
    return { near, far };
  } finally {
    listener.close();
  }
}

function sourcesOf(source: "unix" | "127.0.0.1"): ProxySources | undefined {
  return ProxySources.from(
    "Cannot listen",
    { sources: [source] },
    source === "unix" ? "unix" : "tcp",
  );
}

async function onPath(make: (path: string) => Promise<TransportPair>): Promise<TransportPair> {
  const directory = await Deno.makeTempDir();
  try {
    return await make(`${directory}/socket`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
