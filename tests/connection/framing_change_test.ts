// A change of framing in mid-connection, and a framing of the user's own.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FramingError } from "../../errors.ts";
import {
  chunked,
  delimited,
  fixedLength,
  type Framing,
  lengthPrefixed,
  raw,
  varintPrefixed,
} from "../../framing.ts";
import { concat, everyCut, hex, pattern, text, utf8 } from "../support/bytes.ts";
import {
  closeAll,
  connectedPair,
  receiveAll,
  scriptedConnection,
  settle,
} from "../support/simulation/memory_connections.ts";
import { cobs, slip } from "../support/simulation/memory_framings.ts";
import { forSeedsAsync } from "../support/random.ts";

const lines = { framing: delimited("\n") };

Deno.test("Connection.setFraming() holds from the next message on, both ways", async () => {
  const [a, b] = connectedPair(lines);
  a.send("upload 5");
  assertEquals(text((await b.receive())!), "upload 5");
  b.send("go on");
  b.setFraming(fixedLength(5));
  b.send("FIXED");
  a.setFraming(delimited("\n"));
  assertEquals(text((await a.receive())!), "go on");
  a.setFraming(fixedLength(5));
  assertEquals(text((await a.receive())!), "FIXED");
  a.send("\n\n\n\n\n");
  assertEquals(text((await b.receive())!), "\n\n\n\n\n");
  a.setFraming(lengthPrefixed());
  b.setFraming(lengthPrefixed());
  a.send("done");
  assertEquals(text((await b.receive())!), "done");
  await closeAll(a, b);
});

Deno.test("Connection.setFraming() decodes anew what was read ahead, however it was cut", async () => {
  const input = concat([
    utf8("file 6\n"),
    hex("00ff 0a0a 0d00"),
    hex("04"),
    utf8("next"),
    utf8("end\r\n"),
  ]);
  for (const chunks of everyCut(input)) {
    const { connection, transport } = scriptedConnection(lines);
    for (const chunk of chunks) transport.feed(chunk);
    transport.endInput();
    await settle(1);
    assertEquals(text((await connection.receive())!), "file 6");
    connection.setFraming(fixedLength(6));
    assertEquals(await connection.receive(), hex("00ff0a0a0d00"));
    connection.setFraming(varintPrefixed());
    assertEquals(text((await connection.receive())!), "next");
    connection.setFraming(delimited("\r\n"));
    assertEquals(text((await connection.receive())!), "end");
    assertEquals(await connection.receive(), null);
    connection.abort();
  }
});

Deno.test("Connection.setFraming() inside a message hands its first bytes to the new framing", async () => {
  const { connection, transport } = scriptedConnection({ framing: lengthPrefixed() });
  transport.feed(hex("00000010 61"));
  await assertRejects(() => connection.receive({ timeoutMs: 0 }));
  await settle();
  await assertRejects(() => connection.receive({ timeoutMs: 0 }));
  connection.setFraming(raw());
  assertEquals(await connection.receive(), hex("0000001061"));
  connection.abort();
});

Deno.test("Connection.setFraming() gives a waiting reader the message that the new framing finds", async () => {
  const { connection, transport } = scriptedConnection({ framing: fixedLength(100) });
  const receiving = connection.receive();
  transport.feed(utf8("one\ntwo\n"));
  await settle();
  connection.setFraming(delimited("\n"));
  assertEquals(text((await receiving)!), "one");
  assertEquals(text((await connection.receive())!), "two");
  connection.abort();
});

Deno.test("Connection.setFraming() with a limit of its own, and with the connection's without one", async () => {
  const { connection } = scriptedConnection({ ...lines, maxMessageBytes: 10 });
  await assertRejects(() => connection.send("12345678901"), FramingError);
  connection.setFraming(delimited("\n"), { maxMessageBytes: 11 });
  await connection.send("12345678901");
  await assertRejects(() => connection.send("123456789012"), FramingError);
  connection.setFraming(delimited("\n"));
  await assertRejects(() => connection.send("12345678901"), FramingError);
  connection.abort();
});

Deno.test("Connection.setFraming() refuses what is wrong and keeps the old framing", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, maxMessageBytes: 10 });
  transport.feed(utf8("one\n"));
  await settle();
  assertThrows(() => connection.setFraming(fixedLength(11)), RangeError, "raise the limit");
  assertThrows(
    () => connection.setFraming(raw(), { maxMessageBytes: 0 }),
    RangeError,
    "Cannot change the framing",
  );
  for (const wrong of [undefined, null, "raw", {}]) {
    assertThrows(
      () => connection.setFraming(wrong as unknown as Framing),
      TypeError,
      `Cannot change the framing: "framing" must be a Framing such as lengthPrefixed()`,
    );
  }
  await connection.send("two");
  await connection.flush();
  assertEquals(transport.writes.map(text), ["two\n"]);
  assertEquals(text((await connection.receive())!), "one");
  connection.abort();
});

Deno.test("Connection.setFraming() keeps messages apart that were sent in one turn under two framings", async () => {
  const { connection, transport } = scriptedConnection(lines);
  connection.send("one");
  connection.setFraming(lengthPrefixed({ bytes: 1 }));
  connection.send("two");
  connection.setFraming(raw());
  connection.send("three");
  await settle();
  assertEquals(transport.writes.map(text), ["one\n\x03twothree"]);
  connection.abort();
});

Deno.test("Connection.setFraming() at random moments gives every message once", async () => {
  await forSeedsAsync(40, async (random) => {
    const framings: readonly Framing[] = [
      delimited("\n"),
      delimited("\r\n"),
      lengthPrefixed(),
      varintPrefixed(),
      chunked(),
      cobs,
    ];
    const [a, b] = connectedPair(lines, lines, { bufferBytes: random.int(1, 200) });
    const messages = Array.from(
      { length: 30 },
      () => random.bytes(random.length(300), utf8("abcdefgh")),
    );
    const changes = messages.map(() => random.chance(0.3) ? random.pick(framings) : undefined);
    const sending = (async () => {
      for (const [i, message] of messages.entries()) {
        a.send(message);
        if (changes[i] !== undefined) a.setFraming(changes[i]);
        if (random.chance(0.2)) await settle(1);
      }
      await a.closeWrite();
    })();
    for (const [i, message] of messages.entries()) {
      assertEquals(await b.receive(), message);
      if (changes[i] !== undefined) b.setFraming(changes[i]);
      if (random.chance(0.2)) await settle(1);
    }
    assertEquals(await b.receive(), null);
    await sending;
    await closeAll(a, b);
  });
});

for (const framing of [cobs, slip]) {
  Deno.test(`Connection carries any bytes by a framing of the user's own: ${framing.name}`, async () => {
    const [a, b] = connectedPair({ framing }, undefined, { bufferBytes: 1000 });
    const messages = [
      ...["", "00", "c0", "db", "dbdc", "c0dbdddc00", "00".repeat(300), "01".repeat(600)].map(hex),
      ...[253, 254, 255, 256, 508, 509, 70_000].map((length) => pattern(length)),
    ];
    const receiving = receiveAll(b);
    for (const message of messages) await a.send(message);
    await a.closeWrite();
    const got = await receiving;
    assertEquals(got.length, messages.length);
    got.forEach((message, i) => assertEquals(message, messages[i]));
    assertEquals(b.stats().heldBytes, 0);
    await closeAll(a, b);
  });
}

Deno.test("Connection ends when a framing of the user's own finds no message", async () => {
  const { connection, transport } = scriptedConnection({ framing: cobs });
  transport.feed(hex("05 0101 00"));
  const error = await assertRejects(() => connection.receive(), FramingError);
  assertEquals(error.code, "ERR_FRAME_MALFORMED");
  transport.endInput();
  assertEquals((await connection.closed).error, error);
});

Deno.test("Connection.setFraming() to parts sends a message whose total is not known, while messages come in", async () => {
  const [a, b] = connectedPair({ framing: chunked() });
  const parts = ["as it ", "becomes ", "known"];
  a.setFraming(chunked({ sends: "parts" }));
  b.send("hello");
  for (const part of parts) {
    a.send(part);
    b.send("and on");
    await settle(1);
  }
  a.send("");
  a.setFraming(chunked());
  a.send("whole");
  await a.closeWrite();
  await b.closeWrite();
  assertEquals((await receiveAll(b)).map(text), ["as it becomes known", "whole"]);
  assertEquals((await receiveAll(a)).map(text), ["hello", "and on", "and on", "and on"]);
  await closeAll(a, b);
});
