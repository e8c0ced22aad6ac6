import { assert } from "@std/assert";
import { dial } from "/work/main/net/dial.ts";
import { listen } from "/work/main/net/listen.ts";
import { clientTls, sourceOf, testCerts } from "/work/main/tests/support/certs.ts";
for (
  const [c, s, unix] of [["node", "node", 0], ["node", "node", 1], ["deno", "node", 0], ["node", "deno", 0], [
    "deno",
    "deno",
    0,
  ]] as const
) {
  for (const dir of [0, 1]) {
    Deno.test(`${c} ${s} ${unix} ${dir}`, async () => {
      const certs = await testCerts();
      const { signal } = new AbortController();
      let bad = 0;
      const path = unix ? "/tmp/h2/cl.sock" : undefined;
      const l = await listen(
        {
          ...(path ? { path } : { port: 0 }),
          tls: { credentials: sourceOf(certs.server), backend: s },
        } as any,
      );
      const tls = clientTls(certs, { backend: c });
      for (let i = 0; i < 300; i++) {
        const acc = l.accept().then((x) => x!.open({ signal }));
        const [n, f] = await Promise.all([
          dial({ ...(path ? { path } : { hostname: "localhost", port: (l.addr as any).port }), tls } as any, {
            signal,
          }),
          acc,
        ]);
        const [a, b] = dir ? [f, n] : [n, f];
        const r = b.read();
        if (i % 2) await a.write(new Uint8Array(10));
        a.close();
        try {
          let x = await r;
          while (x !== null) x = await b.read();
        } catch {
          bad++;
        }
        b.close();
      }
      l.close();
      console.log(c, s, unix, dir, "bad", bad);
    });
  }
}
