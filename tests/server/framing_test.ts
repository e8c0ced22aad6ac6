// What a peer may do to the framing: too large, cut short, malformed. A typed error, that
// connection ends, the server lives.
import { assert, assertEquals } from "@std/assert";
import {
  chunked,
  delimited,
  fixedLength,
  type Framing,
  lengthPrefixed,
  raw,
  varintPrefixed,
} from "@parley/parley";
import { concat, cutEvery, hex, pattern, utf8 } from "../support/bytes.ts";
import { settle } from "../support/simulation/memory_connections.ts";
import { readToEnd, writeAll } from "../support/peers/raw_peer.ts";
import { codeOf, echo, started, type TestServer } from "../support/peers/servers.ts";
import { until } from "../support/wait.ts";

const MAX = 100;

/** Every built-in framing, and bytes that are no message under it beside those that are too many. */
const FRAMINGS: readonly { framing: Framing; malformed?: string; huge?: string }[] = [
  { framing: delimited("\n") },
  { framing: delimited("\r\n") },
  { framing: delimited("<end>") },
  { framing: lengthPrefixed({ bytes: 1 }), huge: "ff" },
  { framing: lengthPrefixed({ bytes: 2 }), huge: "ffff" },
  { framing: lengthPrefixed({ bytes: 2, endian: "little" }), huge: "ffff" },
  { framing: lengthPrefixed(), huge: "ffffffff" },
  { framing: lengthPrefixed({ endian: "little" }), huge: "ffffffff" },
  { framing: lengthPrefixed({ bytes: 8 }), huge: "ffffffffffffffff" },
  { framing: lengthPrefixed({ bytes: 8, endian: "little" }), huge: "ffffffffffffffff" },
  { framing: varintPrefixed(), huge: "ffffffff0f", malformed: "ffffffffffffffffffff01" },
  { framing: chunked(), huge: "ffffffff0f", malformed: "01ff8000" },
];

/** A message in its frame, whatever the limit. */
function frame(framing: Framing, message: Uint8Array): Uint8Array {
  const encoder = framing.encoder({ maxMessageBytes: 2 * MAX });
  const body = encoder.body(message);
  const bytes = new Uint8Array(body.length + encoder.maxOverhead);
  const start = encoder.writeHead(body, bytes, 0);
  bytes.set(body, start);
  return bytes.slice(0, encoder.writeTail(body, bytes, start + body.length));
}

/** Sends bytes as they are and ends; returns what came back. */
async function exchange(test: TestServer, pieces: readonly Uint8Array[]): Promise<string> {
  assert(test.server.addr.transport === "tcp");
  using socket = await Deno.connect({ port: test.server.addr.port });
  socket.setNoDelay(true);
  const writing = (async () => {
    for (const piece of pieces) {
      await writeAll(socket, piece);
      await settle(1);
    }
    await socket.closeWrite();
  })().catch(() => {}); // the server may have had enough
  const answer = await readToEnd(socket);
  await writing;
  return answer;
}

const decoder = new TextDecoder();

for (const { framing, huge, malformed } of FRAMINGS) {
  const name = `${framing.name} ${huge ?? ""}`.trim();
  const bytes = (count: number) => pattern(count).map((byte) => 65 + byte % 26);

  Deno.test(`serve() with ${name}: messages at the limit pass, above it they end their connection`, async () => {
    await using test = await started({ framing, maxMessageBytes: MAX });
    const [below, at] = [frame(framing, bytes(MAX - 1)), frame(framing, bytes(MAX))];
    for (const pieces of [[concat([below, at])], cutEvery(concat([below, at]), 1)]) {
      assertEquals(await exchange(test, pieces), decoder.decode(concat([below, at])));
    }
    assertEquals(test.codes, []);
    const above = concat([at, frame(framing, bytes(MAX + 1)), at]);
    for (const pieces of [[above], cutEvery(above, 7)]) {
      assertEquals(
        await exchange(test, pieces),
        decoder.decode(at),
        "what came before is answered, nothing after",
      );
    }
    await until("no connection is open", () => test.server.connections.size === 0);
    assertEquals(test.codes, Array(2).fill("handler ERR_FRAME_TOO_LARGE"));
    assertEquals(test.server.closedConnections()[0]!.errorCode, "ERR_FRAME_TOO_LARGE");
    assertEquals(await exchange(test, [at]), decoder.decode(at), "the server lives");
  });

  Deno.test(`serve() with ${name}: an end inside a message is ERR_FRAME_TRUNCATED`, async () => {
    await using test = await started({ framing, maxMessageBytes: MAX });
    const whole = frame(framing, bytes(20));
    const cuts = [1, whole.length >> 1, whole.length - 1];
    for (const cut of cuts) {
      const input = concat([whole, whole.subarray(0, cut)]);
      assertEquals(await exchange(test, [input]), decoder.decode(whole));
    }
    await until("no connection is open", () => test.server.connections.size === 0);
    assertEquals(test.codes, cuts.map(() => "handler ERR_FRAME_TRUNCATED"));
    assertEquals(test.server.stats().overall.framingErrors, cuts.length);
    assertEquals(await exchange(test, [whole]), decoder.decode(whole), "the server lives");
  });

  if (huge !== undefined) {
    Deno.test(`serve() with ${name}: a huge length ends the connection before more comes`, async () => {
      await using test = await started({ framing, maxMessageBytes: MAX });
      assert(test.server.addr.transport === "tcp");
      using socket = await Deno.connect({ port: test.server.addr.port });
      await writeAll(socket, hex(huge));
      assertEquals(await readToEnd(socket), "");
      assertEquals(test.codes, ["handler ERR_FRAME_TOO_LARGE"]);
    });
  }

  if (malformed !== undefined) {
    Deno.test(`serve() with ${name}: bytes that are no message are ERR_FRAME_MALFORMED`, async () => {
      await using test = await started({ framing, maxMessageBytes: MAX });
      assertEquals(await exchange(test, [hex(malformed)]), "");
      assertEquals(test.codes, ["handler ERR_FRAME_MALFORMED"]);
    });
  }
}

Deno.test("serve() with fixedLength and raw: only a cut message is an error", async () => {
  await using fixed = await started({ framing: fixedLength(10) });
  assertEquals(await exchange(fixed, [utf8("0123456789abcdefghij")]), "0123456789abcdefghij");
  assertEquals(await exchange(fixed, [utf8("0123456789abc")]), "0123456789");
  assertEquals(fixed.codes, ["handler ERR_FRAME_TRUNCATED"]);
  await using chunks = await started({ framing: raw(), maxMessageBytes: 10 });
  assertEquals(
    await exchange(chunks, [utf8("more than ten bytes in one read")]),
    "more than ten bytes in one read",
  );
  assertEquals(chunks.codes, []);
});

Deno.test("serve() with a framing of the user's whose decoder throws ends that connection only", async () => {
  const lines = delimited("\n");
  const broken: Framing = {
    name: "broken",
    encoder: (limits) => lines.encoder(limits),
    decoder: (limits) => {
      const inner = lines.decoder(limits);
      return {
        get heldBytes() {
          return inner.heldBytes;
        },
        push: (chunk) => inner.push(chunk),
        next: () => {
          const message = inner.next();
          if (message?.[0] === 33) throw new TypeError("a bug of the framing");
          return message;
        },
        end: () => inner.end(),
        takeRest: () => inner.takeRest(),
      };
    },
  };
  const ends: string[] = [];
  await using test = await started({
    framing: broken,
    onDisconnect: (_conn, { error }) => ends.push(codeOf(error)),
  }, echo);
  assertEquals(await exchange(test, [utf8("one\n!\ntwo\n")]), "one\n");
  await until("the connection ends", () => ends.length === 1);
  assertEquals([ends, test.codes], [["TypeError"], ["handler TypeError"]]);
  assertEquals(await exchange(test, [utf8("one\n")]), "one\n");
});
