// Tests of the handlers of parley serve that need no server: limits of programs, and of how many run.
import { assertEquals, assertRejects } from "@std/assert";
import { perConnection, perMessage } from "../../../cli/commands/serve/handlers.ts";
import { Programs } from "../../../cli/commands/serve/programs.ts";
import { Connection } from "../../../connection.ts";
import { TimeoutError } from "../../../errors.ts";
import { delimited } from "../../../framing.ts";
import type { Logger } from "../../../log/logger.ts";
import { memoryPair } from "../../../net/transport/memory_pair.ts";
import type { Handler } from "../../../server.ts";

const framing = delimited("\n");
const ignore = Deno.build.os === "windows";
const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

function shell(script: string, maxPrograms = 1): Programs {
  return new Programs({ command: "sh", args: ["-c", script], maxPrograms, logger: quiet });
}

/** A client, and what comes of the handler that serves it. */
function serveOne(
  handler: Handler,
): { readonly client: Connection; readonly served: Promise<void> } {
  const [near, far] = memoryPair();
  const [client, connection] = [
    new Connection(near, { framing }),
    new Connection(far, { framing }),
  ];
  const served = (async () => {
    try {
      await handler(connection);
    } finally {
      await connection.close();
    }
  })();
  served.catch(() => {});
  return { client, served };
}

for (const per of ["message", "connection"] as const) {
  Deno.test({
    name: `per ${per}: a program that takes too long is ended with all that it has started`,
    ignore,
    async fn() {
      // The inner one holds standard output open.
      await using programs = shell("sleep 600 & sleep 600");
      const handler = per === "message"
        ? perMessage({ programs, lines: true, maxAnswerBytes: 100, timeoutMs: 50 })
        : perConnection({ programs, framing, maxMessageBytes: 100, timeoutMs: 50 });
      const { client, served } = serveOne(handler);
      await client.send("Hi!");
      assertEquals(await client.receive(), null);
      await client.close();
      await assertRejects(() => served, TimeoutError, "did not end within 50 ms");
    },
  });
}

Deno.test({
  name:
    "perMessage() hands on bytes unchanged where messages are no lines, to as many programs as may run",
  ignore,
  async fn() {
    await using programs = shell("cat");
    const handler = perMessage({ programs, lines: false, maxAnswerBytes: 100, timeoutMs: 0 });
    const clients = Array.from({ length: 4 }, () => serveOne(handler));
    await Promise.all(clients.map(async ({ client, served }, i) => {
      await client.send(`${i}\r`);
      assertEquals(await client.receive(), new TextEncoder().encode(`${i}\r`));
      await client.closeWrite();
      await served;
      await client.close();
    }));
  },
});

Deno.test({
  name: "perMessage() does not mind a program that reads nothing of a large message",
  ignore,
  async fn() {
    await using programs = shell("echo done");
    const { client, served } = serveOne(
      perMessage({ programs, lines: true, maxAnswerBytes: 100, timeoutMs: 0 }),
    );
    await client.send(new Uint8Array(1_000_000).fill(65));
    assertEquals(await client.receive(), new TextEncoder().encode("done"));
    await client.close();
    await served;
  },
});
