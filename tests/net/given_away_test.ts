// A buffer that its owner gives away during a write: the write ends with an error, or with all its bytes, and never hangs.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { ClosedError } from "../../errors.ts";
import { dial } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";
import { clientTls, sourceOf, testCerts } from "../support/certs.ts";
import { settles } from "../support/wait.ts";

const { signal } = new AbortController();
const SIZE = 32 * 2 ** 20;

for (const way of ["Deno", "node", "TLS of Deno", "TLS of node"] as const) {
  Deno.test(`Transport.write() over ${way} tells of a buffer that is transferred before the kernel has it all`, async () => {
    const certs = await testCerts();
    const backend = way.endsWith("Deno") ? "deno" : "node";
    const secure = way.startsWith("TLS");
    const listener = await listen({
      port: 0,
      ...secure && { tls: { credentials: sourceOf(certs.server), backend } },
    });
    const { port } = listener.addr as { port: number };
    const tls = secure ? clientTls(certs, { backend }) : undefined;
    const [near, far] = await Promise.all([
      dial({ hostname: "localhost", port, tls }, { signal, canReset: way === "node" }),
      listener.accept().then((incoming) => incoming!.open({ signal })),
    ]);
    const bytes = new Uint8Array(SIZE).fill(7);
    let outcome: Error | "written" | undefined;
    const writing = near.write(bytes).then(() => "written" as const, (error: Error) => error)
      .then((result) => outcome = result);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    let read = 0;
    const reading = (async () => {
      for (let chunk; read < SIZE && (chunk = await far.read()) !== null;) read += chunk.length;
    })();
    await settles("write", writing);
    if (outcome instanceof ClosedError) {
      assertStringIncludes(outcome.message, "transferred or resized");
      near.close();
    }
    // The node backend has a copy by then.
    await settles("reading", reading.catch(() => {}));
    assertEquals([read === SIZE, outcome instanceof ClosedError].filter(Boolean), [true]);
    for (const end of [near, far, listener]) end.close();
  });
}
