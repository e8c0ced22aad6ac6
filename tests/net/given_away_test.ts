// A buffer that its owner transfers during a write: the write ends with an error that says so, and
// never hangs.
import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { ClosedError } from "../../errors.ts";
import { dial } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";
import { clientTls, sourceOf, testCerts } from "../support/programs/certs.ts";
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
    const writing = near.write(bytes).then(() => null, (error: Error) => error);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    const reading = (async () => {
      for (let read = 0, chunk; read < SIZE && (chunk = await far.read()) !== null;) {
        read += chunk.length;
      }
    })().catch(() => {});
    const error = await settles("write", writing);
    assertInstanceOf(error, ClosedError);
    assertEquals(error.code, "ERR_CLOSED");
    assertStringIncludes(error.message, "transferred or resized");
    near.close();
    await settles("reading", reading);
    for (const end of [near, far, listener]) end.close();
  });
}
