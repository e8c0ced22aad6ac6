// Tests of dials that are given up: what comes up late is closed, and no descriptor is left.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { dial, type DialTarget } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";
import { clientTls, sourceOf, testCerts } from "../support/programs/certs.ts";
import { openDescriptors, settles, until } from "../support/wait.ts";

const linux = Deno.build.os === "linux";

/** Has one of Deno's ways to connect resolve when a test wants it. */
function late(name: "connect" | "connectTls") {
  const real = Deno[name];
  const { promise, resolve } = Promise.withResolvers<Deno.Conn>();
  const called = Promise.withResolvers<void>();
  const begin = () => {
    called.resolve();
    return promise;
  };
  Object.assign(Deno, { [name]: begin });
  return {
    resolve,
    called: called.promise,
    [Symbol.dispose]: () => void Object.assign(Deno, { [name]: real }),
  };
}

async function lateWays(): Promise<readonly [string, "connect" | "connectTls", DialTarget][]> {
  const certs = await testCerts();
  const named = clientTls(certs, { backend: "deno", ...certs.client });
  return [
    ["plain, by name", "connect", { hostname: "name.localhost", port: 9 }],
    ["native TLS", "connect", {
      hostname: "name.localhost",
      port: 9,
      tls: clientTls(certs, { backend: "deno" }),
    }],
    ["native TLS with a certificate", "connectTls", { hostname: "localhost", port: 9, tls: named }],
    ["unix", "connect", { path: "/run/none.sock" }],
  ];
}

Deno.test({
  name: "dial() that was given up rejects at once, and closes what comes up late",
  ignore: Deno.build.os === "windows",
  async fn() {
    for (const [way, api, target] of await lateWays()) {
      using connecting = late(api);
      const controller = new AbortController();
      const dialling = dial(target, { signal: controller.signal });
      const rejected = assertRejects(() => dialling, Error, "enough");
      await connecting.called;
      controller.abort(new Error("enough"));
      await settles(way, rejected);
      const closed = Promise.withResolvers<void>();
      connecting.resolve({ close: () => closed.resolve() } as unknown as Deno.Conn);
      await settles(`${way}: closed`, closed.promise);
    }
  },
});

for (const way of ["plain", "plain that can reset", "TLS by node"] as const) {
  Deno.test({
    name: `dial() leaves no descriptor of those that are aborted about when they come up, ${way}`,
    ignore: !linux,
    async fn() {
      const certs = await testCerts();
      const secure = way === "TLS by node";
      const tls = secure ? { credentials: sourceOf(certs.server) } : undefined;
      const listener = await listen({ port: 0, tls });
      assert(listener.addr.transport === "tcp");
      const { port } = listener.addr;
      const accepting = (async () => {
        for (let next; (next = await listener.accept()) !== null;) next.refuse();
      })();
      const before = openDescriptors();
      for (let round = 0; round < 8; round++) {
        await Promise.all(Array.from({ length: 40 }, async (_, i) => {
          const controller = new AbortController();
          const timer = setTimeout(() => controller.abort(), i * (0.05 + round / 50));
          try {
            const options = { signal: controller.signal, canReset: way === "plain that can reset" };
            (await dial({ port, tls: secure ? clientTls(certs) : undefined }, options)).close();
          } catch {
            // Aborted, or refused.
          }
          clearTimeout(timer);
        }));
      }
      await until("the descriptors are back", () => openDescriptors() <= before + 2);
      listener.close();
      await accepting;
    },
  });
}

Deno.test("dial() tells what it is at, stage by stage", async () => {
  const certs = await testCerts();
  for (const backend of ["node", "deno"] as const) {
    const listener = await listen({
      port: 0,
      tls: { credentials: sourceOf(certs.server), backend },
    });
    assert(listener.addr.transport === "tcp");
    const opening = listener.accept().then((incoming) =>
      incoming!.open({ signal: new AbortController().signal })
    );
    const stages: string[] = [];
    const near = await dial({ port: listener.addr.port, tls: clientTls(certs, { backend }) }, {
      signal: new AbortController().signal,
      onStage: (stage) => stages.push(stage),
    });
    near.close();
    (await opening).close();
    listener.close();
    assertEquals(stages, ["resolve", "connect", "secure"]);
  }
});
