// Tests of StreamTransport: a pair of streams as one end of a connection.
import { assertEquals, assertRejects } from "@std/assert";
import { StreamTransport } from "../../../cli/process/stream_transport.ts";
import { ClosedError } from "../../../errors.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

async function readAll(chunks: readonly string[], lastEnd?: string): Promise<string[]> {
  const transport = new StreamTransport({
    name: "test",
    readable: ReadableStream.from(chunks.map(bytes)),
    writable: new WritableStream(),
    ...lastEnd === undefined ? {} : { lastEnd: bytes(lastEnd) },
  });
  const read: string[] = [];
  for (let chunk = await transport.read(); chunk !== null; chunk = await transport.read()) {
    read.push(new TextDecoder().decode(chunk));
  }
  assertEquals(await transport.read(), null, "the end is told again");
  transport.close();
  return read;
}

Deno.test("StreamTransport adds the end that the last line lacks, and no other", async () => {
  assertEquals(await readAll(["a\nb"], "\n"), ["a\nb", "\n"]);
  assertEquals(await readAll(["a\nb\n"], "\n"), ["a\nb\n"]);
  assertEquals(await readAll([], "\n"), []);
  assertEquals(await readAll(["a\r", "\n"], "\r\n"), ["a\r", "\n"]);
  assertEquals(await readAll(["a\n", "b", "\r"], "\r\n"), ["a\n", "b", "\r", "\r\n"]);
  assertEquals(await readAll(["\n"], "\r\n"), ["\n", "\r\n"]);
  assertEquals(await readAll(["a\nb"]), ["a\nb"]);
});

Deno.test("StreamTransport tells a broken pipe from an end of our own", async () => {
  const cause = new Deno.errors.BrokenPipe("Broken pipe");
  const broken = new StreamTransport({
    name: "test",
    readable: new ReadableStream({
      pull() {
        throw cause;
      },
    }),
    writable: new WritableStream({
      write() {
        throw cause;
      },
    }),
  });
  for (const attempt of [() => broken.read(), () => broken.write(bytes("x"))]) {
    const error = await assertRejects(attempt, ClosedError);
    assertEquals([error.code, error.cause], ["ERR_RESET", cause]);
  }
  broken.close();
  const quiet = new StreamTransport({
    name: "test",
    readable: new ReadableStream(),
    writable: new WritableStream({ write: () => new Promise(() => {}) }),
  });
  const waiting = [quiet.read(), quiet.write(bytes("x"))];
  quiet.close();
  for (const promise of [...waiting, quiet.read(), quiet.write(bytes("y"))]) {
    assertEquals((await assertRejects(() => promise, ClosedError)).code, "ERR_CLOSED");
  }
});
