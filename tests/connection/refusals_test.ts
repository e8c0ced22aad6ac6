// Refusals: a message that is lost for a mistake of the caller's is heard of, even where the
// `await` was forgotten.
import { assertEquals, assertRejects } from "@std/assert";
import { FramingError } from "../../errors.ts";
import { delimited } from "../../framing.ts";
import { Refusals } from "../../async/rejections.ts";
import { scriptedConnection, settle } from "../support/simulation/memory_connections.ts";

/** A connection that refuses, and what it reports. */
function refusing() {
  const heard: string[] = [];
  const parts = scriptedConnection({
    framing: delimited("\n"),
    maxMessageBytes: 100,
    onUnheard: (error) => heard.push((error as Error).name),
  });
  return { ...parts, heard };
}

Deno.test("Connection.send() reports each refusal that nothing waits for", async () => {
  const { connection, heard } = refusing();
  connection.send("x".repeat(500));
  connection.send("two\nlines");
  connection.send(5 as unknown as string);
  assertEquals(heard, []);
  await settle();
  assertEquals(heard, ["FramingError", "FramingError", "TypeError"]);
  connection.closeWrite();
  connection.send("after our own end");
  await settle();
  assertEquals(heard.length, 4);
  connection.abort();
});

Deno.test("Connection.send() leaves the report to the caller who waits, however it waits", async () => {
  const { connection, heard } = refusing();
  const send = () => connection.send("two\nlines");
  await assertRejects(send, FramingError);
  await assertRejects(async () => await send(), FramingError);
  await assertRejects(() => Promise.all([connection.send("fine"), send()]), FramingError);
  await assertRejects(() => Promise.race([send()]), FramingError);
  await Promise.allSettled([send()]);
  await send().catch(() => {});
  await send().then(() => {}, () => {});
  await send().finally(() => {}).catch(() => {});
  await assertRejects(async () => {
    try {
      await send();
    } finally {
      await settle();
    }
  }, FramingError);
  await settle();
  assertEquals(heard, []);
  connection.abort();
});

Deno.test("Connection.send() is silent where the end tells of what was lost", async () => {
  const { connection, transport, heard } = refusing();
  transport.hold();
  connection.send("one");
  await settle();
  transport.failWrites();
  transport.failInput();
  await connection.closed;
  connection.send("two");
  const closed = refusing();
  void closed.connection.close();
  closed.connection.send("three");
  await settle();
  closed.transport.endInput();
  await closed.connection.closed;
  assertEquals([heard, closed.heard], [[], []]);
});

Deno.test("Connection.send() reports at most ten refusals of one connection", async () => {
  const { connection, heard } = refusing();
  for (let i = 0; i < 30; i++) connection.send("two\nlines");
  await settle();
  assertEquals(heard.length, 10);
  connection.abort();
});

Deno.test("Refusals.reject() tells the console unless told otherwise, and never ends the process", async () => {
  const lines: unknown[][] = [];
  const { error } = console;
  console.error = (...line: unknown[]) => void lines.push(line);
  try {
    const fault = new Error("refused");
    void new Refusals().reject(fault);
    await settle();
    assertEquals(lines.map((line) => line[1]), [fault]);
  } finally {
    console.error = error;
  }
});
