// The handshake machines against a peer that breaks each rule, and against every single flipped bit.
import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  ClientHandshake,
  type HandshakeParameters,
  ServerHandshake,
} from "../../../ipc/secure/handshake.ts";
import {
  decodeHello,
  encodeHello,
  HandshakeFailure,
  type HandshakeReason,
  Suite,
} from "../../../ipc/secure/hello.ts";
import vector from "../../vectors/secure-ipc-vector.json" with { type: "json" };
import { effort, propertySeed, Random } from "../../support/random.ts";
import { hex, unhex } from "../support.ts";

const BASE = {
  context: new TextEncoder().encode(vector.context),
  suite: Suite.sealed,
  secrets: [unhex(vector.psk)],
  maxRecordBytes: 65536,
  maxMessageBytes: 3145728,
};

function client(change: Partial<HandshakeParameters> = {}): ClientHandshake {
  return new ClientHandshake({
    ...BASE,
    random: unhex(vector.client_random),
    privateKey: unhex(vector.client_private),
    ...change,
  });
}

function server(change: Partial<HandshakeParameters> = {}): ServerHandshake {
  return new ServerHandshake({
    ...BASE,
    random: unhex(vector.server_random),
    privateKey: unhex(vector.server_private),
    ...change,
  });
}

function assertRefused(reason: HandshakeReason | null, run: () => unknown, where = ""): void {
  const error = assertThrows(run, HandshakeFailure, undefined, where);
  if (reason !== null) assertEquals(error.reason, reason, where);
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3]! ^= 0x80 >> (bit & 7);
  return copy;
}

/** Bytes before the random and the point: each of their bits has a rule of its own. */
const HEAD_BYTES = 20;

/**
 * Bits to flip, of one hello: all of its head, and one of each byte behind it; `deno task fuzz`
 * flips all. A bit behind the head costs a key agreement, and all of a byte are treated alike.
 */
function bitsToFlip(hello: Uint8Array): number[] {
  const random = new Random(propertySeed);
  const all = Array.from({ length: hello.length * 8 }, (_, bit) => bit);
  if (effort > 1) return all;
  const chosen = Array.from(hello, () => random.int(0, 7));
  return all.filter((bit) => bit < HEAD_BYTES * 8 || chosen[bit >> 3] === (bit & 7));
}

Deno.test("ServerHandshake refuses M1 with any single bit flipped, at once or by the proof", () => {
  const m1 = unhex(vector.m1);
  for (const bit of bitsToFlip(m1)) {
    const machine = server();
    assertRefused(null, () => {
      machine.receiveHello(flipped(m1, bit));
      machine.receiveProof(unhex(vector.m3));
    }, `bit ${bit}`);
  }
});

Deno.test("ClientHandshake never proves itself as for the true M2 when any single bit of it is flipped", () => {
  const m2 = unhex(vector.m2);
  for (const bit of bitsToFlip(m2)) {
    const machine = client();
    let m3 = "";
    try {
      const answered = machine.receiveHello(flipped(m2, bit));
      if ("m3" in answered) m3 = hex(answered.m3);
    } catch (error) {
      if (!(error instanceof HandshakeFailure)) throw error;
      continue;
    }
    assertNotEquals(m3, vector.m3, `bit ${bit}`);
    assertRefused("wrong proof", () => machine.receiveProof(unhex(vector.m4)), `bit ${bit}`);
  }
});

Deno.test("both handshakes refuse a proof with any single bit flipped", () => {
  // The suite without key agreement: the proofs are made and compared by the same code, a thousand
  // times as fast.
  const plain = { suite: Suite.plain };
  for (let bit = 0; bit < 49 * 8; bit++) {
    const ours = client(plain);
    const theirs = server(plain);
    const { m2 } = theirs.receiveHello(ours.start());
    const answered = ours.receiveHello(m2);
    if (!("m3" in answered)) throw new Error("a proof must be sent");
    const { m4 } = theirs.receiveProof(answered.m3);
    assertRefused("wrong proof", () => ours.receiveProof(flipped(m4, bit)), `M4 bit ${bit}`);
    const again = server(plain);
    again.receiveHello(ours.start());
    assertRefused(
      "wrong proof",
      () => again.receiveProof(flipped(answered.m3, bit)),
      `M3 bit ${bit}`,
    );
  }
});

Deno.test("handshakes refuse each field that is out of place", () => {
  const set = (bytes: Uint8Array, at: number, ...values: number[]) => {
    const copy = bytes.slice();
    copy.set(values, at);
    return copy;
  };
  const cases: [HandshakeReason, number, number[]][] = [
    ["not our protocol", 0, [1]],
    ["not our protocol", 7, [2]],
    ["wrong type", 8, [3]],
    ["other suite", 9, [0]],
    ["other suite", 9, [0xf0]],
    ["unknown flag", 10, [0x80]],
    ["unknown flag", 11, [1]],
    ["limit out of range", 12, [0, 0, 3, 255]],
    ["limit out of range", 12, [0, 16, 0, 1]],
    ["limit out of range", 16, [0, 0, 3, 255]],
    ["limit out of range", 16, [64, 0, 0, 1]],
    ["bad point", 52, [2]],
    ["bad point", 52, [3]],
    ["bad point", 52, [0]],
    ["bad point", 100, [0xff]],
    ["bad point", 53, Array(96).fill(0)],
  ];
  for (const [reason, at, values] of cases) {
    const where = `${reason} at ${at}`;
    assertRefused(reason, () => server().receiveHello(set(unhex(vector.m1), at, ...values)), where);
    assertRefused(reason, () => client().receiveHello(set(unhex(vector.m2), at, ...values)), where);
  }
  assertRefused("wrong type", () => client().receiveHello(unhex(vector.m1)));
  assertRefused("wrong type", () => server().receiveHello(unhex(vector.m2)));
});

Deno.test("handshakes overwrite the private key once it has served", () => {
  const privateKey = unhex(vector.client_private);
  client({ privateKey }).receiveHello(unhex(vector.m2));
  assertEquals(privateKey, new Uint8Array(48));
});

Deno.test("handshakes accept the limits at their edges", () => {
  for (const [maxRecordBytes, maxMessageBytes] of [[1024, 1024], [2 ** 20, 2 ** 30]] as const) {
    const hello = { maxRecordBytes, maxMessageBytes, random: new Uint8Array(32), point: null };
    const decoded = decodeHello(1, Suite.plain, encodeHello(1, Suite.plain, hello));
    assertEquals([decoded.maxRecordBytes, decoded.maxMessageBytes], [
      maxRecordBytes,
      maxMessageBytes,
    ]);
  }
});

Deno.test("handshakes refuse their own values sent back", () => {
  const mirror = (bytes: Uint8Array) => {
    const copy = bytes.slice();
    copy[8] = copy[8] === 1 ? 2 : 1;
    return copy;
  };
  const ours = client();
  assertRefused("reflected", () => ours.receiveHello(mirror(ours.start())));
  // Only the point the same, only the random the same.
  const point = client({ random: new Uint8Array(32).fill(9) });
  assertRefused("reflected", () => point.receiveHello(mirror(client().start())));
  const random = client({ privateKey: new Uint8Array(48).fill(9) });
  assertRefused("reflected", () => random.receiveHello(mirror(client().start())));
  assertRefused(
    "reflected",
    () => server({ random: unhex(vector.client_random) }).receiveHello(unhex(vector.m1)),
  );
});

Deno.test("handshakes refuse another secret, none, another name, and steps out of order", () => {
  const proofFor = (change: Partial<HandshakeParameters>) => {
    const ours = client(change);
    const theirs = server();
    const { m2 } = theirs.receiveHello(ours.start());
    const answered = ours.receiveHello(m2);
    if (!("m3" in answered)) throw new Error("a proof must be sent");
    return () => theirs.receiveProof(answered.m3);
  };
  assertRefused("wrong proof", proofFor({ secrets: [new Uint8Array(32)] }));
  assertRefused("wrong proof", proofFor({ secrets: [] }));
  assertRefused("wrong proof", proofFor({ context: new TextEncoder().encode("other") }));
  proofFor({ secrets: [unhex(vector.psk), new Uint8Array(32)] })();
  assertRefused("wrong proof", proofFor({ secrets: [new Uint8Array(32), unhex(vector.psk)] }));
  assertRefused("wrong type", () => server().receiveProof(unhex(vector.m3)));
  assertRefused("wrong type", () => client().receiveProof(unhex(vector.m4)));
  const once = server();
  once.receiveHello(unhex(vector.m1));
  once.receiveProof(unhex(vector.m3));
  assertRefused("wrong type", () => once.receiveProof(unhex(vector.m3)));
});

Deno.test("handshakes without a secret agree when both have none", () => {
  for (const suite of [Suite.sealed, Suite.plain]) {
    const ours = client({ suite, secrets: [] });
    const theirs = server({ suite, secrets: [] });
    const first = theirs.receiveHello(ours.start());
    const answered = ours.receiveHello(first.m2);
    if ("session" in answered) {
      assertEquals(suite, Suite.plain);
      assertEquals(hex(answered.session.secrets.sessionId), hex(first.session!.secrets.sessionId));
      continue;
    }
    const { m4, session } = theirs.receiveProof(answered.m3);
    assertEquals(hex(ours.receiveProof(m4).secrets.exporter), hex(session.secrets.exporter));
  }
});
