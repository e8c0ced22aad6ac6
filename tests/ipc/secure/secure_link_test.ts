// The secured flow over a line with a man in the middle: no session or a typed error, never wrong data.
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  AddressError,
  AuthError,
  ClosedError,
  ParleyError,
  ProtocolError,
  TimeoutError,
} from "../../../errors.ts";
import { secure, type SecureOptions } from "../../../ipc/secure/secure_link.ts";
import type { FrameLink } from "../../../ipc/secure/frame_link.ts";
import type { HandshakeReason } from "../../../ipc/secure/hello.ts";
import type { EncryptionProvider } from "../../../ipc/secure/provider_link.ts";
import { memoryPair } from "../../../net/transport/memory_pair.ts";
import { concat, newSeed, Random, type Tamper, type TappedLine, tappedLine } from "../support.ts";

const SECRET = new Uint8Array(32).fill(1);

/** A toy cipher with a check: XOR with the number, and a sum. */
const TOY: EncryptionProvider = {
  name: "toy",
  seal(plain, { sequence, sender }) {
    const mask = sequence + (sender === "client" ? 1 : 101);
    return concat([
      plain.map((byte) => byte ^ mask),
      new Uint8Array([plain.reduce((sum, byte) => sum + byte, mask)]),
    ]);
  },
  open(sealed, { sequence, sender }) {
    const mask = sequence + (sender === "client" ? 1 : 101);
    const plain = sealed.subarray(0, -1).map((byte) => byte ^ mask);
    if (sealed.at(-1) !== (plain.reduce((sum, byte) => sum + byte, mask) & 255)) {
      throw new Error("sum");
    }
    return Promise.resolve(plain);
  },
};

function options(role: "client" | "server", change: Partial<SecureOptions> = {}): SecureOptions {
  return {
    role,
    context: new TextEncoder().encode("test"),
    secrets: [SECRET],
    encryption: true,
    maxRecordBytes: 65536,
    maxMessageBytes: 3145728,
    timeoutMs: 5000,
    ...change,
  };
}

interface Both {
  client: PromiseSettledResult<FrameLink>;
  server: PromiseSettledResult<FrameLink>;
}

async function both(
  line: TappedLine,
  change: { client?: Partial<SecureOptions>; server?: Partial<SecureOptions> } = {},
): Promise<Both> {
  const [client, server] = await Promise.allSettled([
    secure(line.client, options("client", change.client)),
    secure(line.server, options("server", change.server)),
  ]);
  return { client: client!, server: server! };
}

/** A line with a session on it. */
async function linked(
  tamper: { client?: Tamper; server?: Tamper } = {},
  change: Partial<SecureOptions> = {},
): Promise<{ line: TappedLine; client: FrameLink; server: FrameLink }> {
  const line = tappedLine(tamper);
  const { client, server } = await both(line, { client: change, server: change });
  if (client.status === "rejected") throw client.reason;
  if (server.status === "rejected") throw server.reason;
  return { line, client: client.value, server: server.value };
}

function code(result: PromiseSettledResult<unknown>): string {
  if (result.status === "fulfilled") return "session";
  assert(result.reason instanceof ParleyError, String(result.reason));
  return result.reason.code;
}

/** Reads to the end; returns what came and how it ended. */
async function readAll(link: FrameLink): Promise<{ bytes: Uint8Array; end: "closed" | Error }> {
  const parts: Uint8Array[] = [];
  try {
    for (;;) {
      const part = await link.read();
      if (part === null) return { bytes: concat(parts), end: "closed" };
      parts.push(part);
    }
  } catch (error) {
    return { bytes: concat(parts), end: error as Error };
  }
}

for (
  const [name, change] of [
    ["sealed", {}],
    ["sealed, anonymous", { secrets: [] }],
    ["sealed, with new keys all the time", { rekey: { records: 2, bytes: 100_000, ageMs: 1e9 } }],
    ["sealed, records of 1024 bytes", { maxRecordBytes: 1024 }],
    ["plain", { encryption: false }],
    ["plain, anonymous", { encryption: false, secrets: [] }],
    ["own provider", { encryption: TOY }],
  ] as [string, Partial<SecureOptions>][]
) {
  Deno.test(`secure carries random pieces both ways, whole and in order: ${name}`, async () => {
    const seed = newSeed();
    const random = new Random(seed);
    const { line, client, server } = await linked({}, change);
    const send = async (link: FrameLink) => {
      const sent: Uint8Array[] = [];
      for (let i = 0; i < 25; i++) {
        const bytes = random.bytes(
          1 + random.below([100, 5000, 300_000][random.below(10) === 0 ? 2 : random.below(2)]!),
        );
        sent.push(bytes);
        await link.write(bytes);
      }
      await link.end(0);
      return concat(sent);
    };
    const [there, back, atServer, atClient] = await Promise.all([
      send(client),
      send(server),
      readAll(server),
      readAll(client),
    ]);
    assertEquals(atServer, { bytes: there, end: "closed" }, `seed ${seed}`);
    assertEquals(atClient, { bytes: back, end: "closed" }, `seed ${seed}`);
    assertEquals(client.info.sessionId, server.info.sessionId);
    assertEquals(client.info.exporter, server.info.exporter);
    client.close();
    server.close();
    await line.done;
    line.close();
  });
}

Deno.test("secure shows nothing of the plaintext on the line", async () => {
  const { line, client, server } = await linked();
  const text = new TextEncoder().encode("attack at dawn, attack at dawn");
  await client.write(text);
  assertEquals(await server.read(), text);
  const seen = new TextDecoder("latin1").decode(concat([...line.fromClient, ...line.fromServer]));
  assert(!seen.includes("attack") && !seen.includes("dawn"));
  client.close();
  server.close();
  await line.done;
  line.close();
});

Deno.test("secure gives the right error on both sides when they do not belong together", async () => {
  const other = new Uint8Array(32).fill(2);
  const cases: [string, Partial<SecureOptions>, Partial<SecureOptions>, string, string][] = [
    ["wrong secret", { secrets: [other] }, {}, "ERR_AUTH", "ERR_AUTH"],
    ["client without secret", { secrets: [] }, {}, "ERR_AUTH", "ERR_AUTH"],
    ["server without secret", {}, { secrets: [] }, "ERR_AUTH", "ERR_AUTH"],
    ["other channel", { context: new Uint8Array([65]) }, {}, "ERR_AUTH", "ERR_AUTH"],
    [
      "rotation, server knows both",
      { secrets: [other] },
      { secrets: [SECRET, other] },
      "session",
      "session",
    ],
    ["server wants encryption", { encryption: false }, {}, "ERR_NOT_OUR_PROTOCOL", "ERR_AUTH"],
    ["client wants encryption", {}, { encryption: false }, "ERR_NOT_OUR_PROTOCOL", "ERR_AUTH"],
    ["client brings its own", { encryption: TOY }, {}, "ERR_NOT_OUR_PROTOCOL", "ERR_AUTH"],
    [
      "plain, wrong secret",
      { encryption: false, secrets: [other] },
      { encryption: false },
      "ERR_AUTH",
      "ERR_AUTH",
    ],
  ];
  for (const [name, client, server, atClient, atServer] of cases) {
    const line = tappedLine();
    const result = await both(line, { client, server });
    assertEquals([name, code(result.client), code(result.server)], [name, atClient, atServer]);
    line.close();
    await line.done;
    if (atServer !== "session") {
      // The server has said its hello at most, and nothing in answer to what was wrong.
      assert(concat(line.fromServer).length <= 149, name);
    }
  }
});

Deno.test("secure recognises another program by its first bytes, and a silent one by the deadline", async () => {
  for (const greeting of ["HTTP/1.1 400 Bad Request\r\n", "\x00EIPD", "-"]) {
    const [client, other] = memoryPair();
    await other.write(new TextEncoder().encode(greeting));
    const error = await assertRejects(() => secure(client, options("client")), AddressError);
    assertEquals(error.code, "ERR_NOT_OUR_PROTOCOL");
    other.close();
  }
  const [server, visitor] = memoryPair();
  const reasons: HandshakeReason[] = [];
  await visitor.write(new TextEncoder().encode("GET / HTTP/1.1\r\n"));
  const answered = secure(
    server,
    options("server", { onFailure: (reason) => reasons.push(reason) }),
  );
  await assertRejects(() => answered, AddressError);
  assertEquals([await visitor.read(), reasons], [null, ["not our protocol"]]);
  visitor.close();
  const [silent, nobody] = memoryPair();
  const error = await assertRejects(
    () => secure(silent, options("client", { timeoutMs: 20 })),
    TimeoutError,
  );
  assertEquals(error.code, "ERR_HANDSHAKE_TIMEOUT");
  nobody.close();
});

Deno.test("secure ends with the reason of its signal", async () => {
  const [client, nobody] = memoryPair();
  const controller = new AbortController();
  const reason = new Error("enough");
  const done = assertRejects(
    () => secure(client, options("client", { signal: controller.signal })),
    Error,
    "enough",
  );
  controller.abort(reason);
  await done;
  nobody.close();
  const [late] = memoryPair();
  await assertRejects(
    () => secure(late, options("client", { signal: controller.signal })),
    Error,
    "enough",
  );
});

Deno.test("secure refuses bytes behind a hello or a proof that may not be there", async () => {
  const extra = (index: number): Tamper => (bytes, i) =>
    i === index ? concat([bytes, new Uint8Array([0])]) : bytes;
  for (const tamper of [{ client: extra(0) }, { client: extra(1) }, { server: extra(0) }]) {
    const line = tappedLine(tamper);
    const result = await both(line);
    assert(code(result.client) !== "session" && code(result.server) !== "session");
    line.close();
    await line.done;
  }
});

Deno.test("secure makes no session when a middleman swaps, replays, reflects, drops or cuts in the handshake", async () => {
  const recorded = await linked();
  const old = { client: recorded.line.fromClient, server: recorded.line.fromServer };
  recorded.client.close();
  recorded.server.close();
  await recorded.line.done;
  recorded.line.close();
  const swapPoint: Tamper = (bytes, i) =>
    i === 0 ? concat([bytes.subarray(0, 52), old.client[0]!.subarray(52)]) : bytes;
  const cases: [string, { client?: Tamper; server?: Tamper }][] = [
    ["client's key swapped", { client: swapPoint }],
    ["server's key swapped", { server: swapPoint }],
    ["both keys swapped", { client: swapPoint, server: swapPoint }],
    ["old M1 replayed", { client: (bytes, i) => i === 0 ? old.client[0]! : bytes }],
    ["old client replayed", { client: (bytes, i) => old.client[i] ?? bytes }],
    ["old M2 replayed", { server: (bytes, i) => i === 0 ? old.server[0]! : bytes }],
    ["old server replayed", { server: (bytes, i) => old.server[i] ?? bytes }],
    ["suite downgraded", { client: (bytes, i) => i === 0 ? withByte(bytes, 9, 0) : bytes }],
    ["suite and length downgraded", {
      client: (bytes, i) => i === 0 ? withByte(bytes, 9, 0).subarray(0, 52) : bytes,
    }],
    ["flag set", { client: (bytes, i) => i === 0 ? withByte(bytes, 11, 1) : bytes }],
    ["limits lowered", { client: (bytes, i) => i === 0 ? withByte(bytes, 13, 0) : bytes }],
    ["limits lowered by the server's side", {
      server: (bytes, i) => i === 0 ? withByte(bytes, 17, 1) : bytes,
    }],
    ["M1 dropped", { client: (bytes, i) => i === 0 ? [] : bytes }],
    ["M1 twice", { client: (bytes, i) => i === 0 ? [bytes, bytes] : bytes }],
    ["M3 cut", { client: (bytes, i) => i === 1 ? null : bytes }],
    ["M3 truncated", { client: (bytes, i) => i === 1 ? bytes.subarray(0, 48) : bytes }],
    ["M4 cut", { server: (bytes, i) => i === 1 ? null : bytes }],
    ["M4 swapped for M3", { server: (bytes, i) => i === 1 ? withByte(bytes, 0, 3) : bytes }],
  ];
  for (const [name, tamper] of cases) {
    const line = tappedLine(tamper);
    const wait = { timeoutMs: 150 };
    const result = await both(line, { client: wait, server: wait });
    assert(code(result.client) !== "session", name);
    // The server may be done when only M4 was touched: it has verified the client.
    if (!name.startsWith("M4")) assert(code(result.server) !== "session", name);
    if (result.server.status === "fulfilled") result.server.value.close();
    line.close();
    await line.done;
  }
  // Reflection: the client's own messages sent back to it.
  const [client, mirror] = memoryPair();
  const reflected = secure(client, options("client", { timeoutMs: 150 }));
  const m1 = (await mirror.read())!;
  await mirror.write(withByte(m1, 8, 2));
  await assertRejects(() => reflected, AuthError);
  mirror.close();
});

Deno.test("secure gives no wrong data when a middleman touches the records: what came before, then an error", async () => {
  const seed = newSeed();
  const random = new Random(seed);
  const pieces = [
    random.bytes(10),
    random.bytes(9000),
    random.bytes(40),
    random.bytes(70_000),
    random.bytes(1),
  ];
  const whole = concat(pieces);
  // Writes of the client: M1, M3, then the records (70 000 bytes are two), then the close.
  let held: Uint8Array | null = null;
  const at =
    (index: number, change: (bytes: Uint8Array) => ReturnType<Tamper>): Tamper => (bytes, i) =>
      i === index ? change(bytes) : bytes;
  const cases: [string, Tamper][] = [
    ...[2, 3, 4, 5, 6, 7, 8].flatMap((index): [string, Tamper][] => [
      [
        `bit flipped in record ${index}`,
        at(index, (bytes) => withFlip(bytes, random.below(bytes.length * 8))),
      ],
      [`record ${index} dropped`, at(index, () => [])],
      [`record ${index} twice`, at(index, (bytes) => [bytes, bytes])],
      [`record ${index} truncated`, at(index, (bytes) => bytes.subarray(0, bytes.length - 1))],
      [`cut at record ${index}`, at(index, () => null)],
    ]),
    ["two records swapped", (bytes, i) => {
      if (i === 3) return (held = bytes, []);
      return i === 4 ? [bytes, held!] : bytes;
    }],
  ];
  for (const [name, tamper] of cases) {
    const where = `${name}, seed ${seed}`;
    const { line, client, server } = await linked({ client: tamper });
    const reading = readAll(server);
    try {
      for (const piece of pieces) await client.write(piece);
      await client.end(0);
    } catch (error) {
      assert(error instanceof ParleyError, where);
    }
    const { bytes, end } = await reading;
    assertEquals(bytes, whole.subarray(0, bytes.length), where);
    if (name === "record 8 twice") assertEquals(end, "closed", where); // nothing is read after the close
    else assert(end instanceof ProtocolError || end instanceof ClosedError, `${where}: ${end}`);
    assertEquals(line.fromServer.length, 2, `${where}: nothing is sent back`);
    client.close();
    server.close();
    line.close();
    await line.done;
  }
});

Deno.test("secure tells a cut from an orderly end", async () => {
  for (const encryption of [true, TOY]) {
    const { line, client, server } = await linked({}, { encryption });
    await client.write(new Uint8Array([1, 2, 3]));
    line.client.close();
    const { bytes, end } = await readAll(server);
    assertEquals(bytes, new Uint8Array([1, 2, 3]));
    assert(end instanceof ClosedError && end.code === "ERR_RESET");
    assertEquals((end.cause as ParleyError).code, "ERR_FRAME_TRUNCATED");
    client.close();
    server.close();
    line.close();
    await line.done;
  }
});

Deno.test("secure survives a line that splits everything into single bytes", async () => {
  const slice: Tamper = (bytes) => [
    ...Array.from(bytes.subarray(0, 400), (byte) => new Uint8Array([byte])),
    bytes.subarray(400),
  ];
  const { line, client, server } = await linked({ client: slice, server: slice });
  const bytes = new Random(9).bytes(6000);
  await Promise.all([client.write(bytes), server.write(bytes)]);
  await Promise.all([client.end(0), server.end(0)]);
  assertEquals((await readAll(server)).bytes, bytes);
  assertEquals((await readAll(client)).bytes, bytes);
  client.close();
  server.close();
  await line.done;
  line.close();
});

Deno.test("secure refuses a provider that breaks its word", async () => {
  const tooLong: EncryptionProvider = {
    ...TOY,
    seal: (plain) => new Uint8Array(plain.length + 1025),
  };
  const empty: EncryptionProvider = { ...TOY, seal: () => new Uint8Array(0) };
  for (const encryption of [tooLong, empty]) {
    const { line, client, server } = await linked({}, { encryption });
    const error = await assertRejects(() => client.write(new Uint8Array(4)), ProtocolError);
    assertEquals(error.code, "ERR_IPC_PROVIDER");
    client.close();
    server.close();
    await line.done;
    line.close();
  }
});

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}

function withFlip(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3]! ^= 0x80 >> (bit & 7);
  return copy;
}
