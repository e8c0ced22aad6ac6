// The published run of EIPC/1, byte for byte, and a second reading of the specification on random runs.
import { assertEquals } from "@std/assert";
import {
  ClientHandshake,
  type HandshakeParameters,
  ServerHandshake,
} from "../../../ipc/secure/handshake.ts";
import { Suite } from "../../../ipc/secure/hello.ts";
import {
  handshakeSecret,
  hash,
  nextTrafficSecret,
  startTranscript,
  trafficKeys,
} from "../../../ipc/secure/key_schedule.ts";
import { RecordType } from "../../../ipc/secure/record_reader.ts";
import { RECORD_OVERHEAD_BYTES, RecordOpener, RecordSealer } from "../../../ipc/secure/records.ts";
import vector from "../../vectors/secure-ipc-vector.json" with { type: "json" };
import { concat, hex, newSeed, Random, unhex } from "../support.ts";
import * as reading from "./second_reading.ts";

const CONTEXT = new TextEncoder().encode(vector.context);

function parameters(side: "client" | "server"): HandshakeParameters {
  return {
    context: CONTEXT,
    suite: Suite.sealed,
    secrets: [unhex(vector.psk)],
    maxRecordBytes: vector.max_record,
    maxMessageBytes: vector.max_message,
    random: unhex(side === "client" ? vector.client_random : vector.server_random),
    privateKey: unhex(side === "client" ? vector.client_private : vector.server_private),
  };
}

Deno.test("handshake reproduces the published vector byte for byte", () => {
  const client = new ClientHandshake(parameters("client"));
  const server = new ServerHandshake(parameters("server"));
  const m1 = client.start();
  assertEquals(hex(m1), vector.m1);
  const { m2 } = server.receiveHello(m1);
  assertEquals(hex(m2), vector.m2);
  const answered = client.receiveHello(m2);
  if (!("m3" in answered)) throw new Error("the client must prove itself");
  assertEquals(hex(answered.m3), vector.m3);
  const { m4, session } = server.receiveProof(answered.m3);
  assertEquals(hex(m4), vector.m4);
  const ours = client.receiveProof(m4);
  for (const { secrets } of [session, ours]) {
    assertEquals(hex(secrets.clientTraffic), vector.client_traffic_0);
    assertEquals(hex(secrets.serverTraffic), vector.server_traffic_0);
    assertEquals(hex(secrets.sessionId), vector.session_id);
    assertEquals(hex(secrets.exporter), vector.exporter);
  }
});

Deno.test("key schedule reproduces every published value", () => {
  const th0 = startTranscript(CONTEXT);
  assertEquals(hex(th0), vector.th0);
  assertEquals(hex(hash(th0, unhex(vector.m1), unhex(vector.m2))), vector.th2);
  assertEquals(
    hex(handshakeSecret(unhex(vector.psk), th0, unhex(vector.z))),
    vector.handshake_secret,
  );
  assertEquals(hex(nextTrafficSecret(unhex(vector.client_traffic_0))), vector.client_traffic_1);
  const { key, iv } = trafficKeys(unhex(vector.client_traffic_0));
  assertEquals([hex(key), hex(iv)], [vector.client_key_0, vector.client_iv_0]);
});

Deno.test("RecordSealer reproduces the published records", () => {
  const hello = new TextEncoder().encode("hello");
  const first = () => {
    const sealer = new RecordSealer(unhex(vector.client_traffic_0), 0, {
      records: 1,
      bytes: 1e9,
      ageMs: 1e9,
    });
    assertEquals(hex(sealer.seal(RecordType.data, hello)), vector.record_data_hello_seq0);
    return sealer;
  };
  assertEquals(
    hex(first().seal(RecordType.close, new Uint8Array([0]))),
    vector.record_close_0_seq1,
  );
  const update = first().updateIfDue(0);
  assertEquals(update === null ? null : hex(update), vector.record_key_update_seq1);
});

Deno.test("the second reading reproduces the published vector as well", () => {
  const run = reading.handshake({
    context: CONTEXT,
    suite: 1,
    psk: unhex(vector.psk),
    client: side("client"),
    server: side("server"),
  });
  for (const [name, value] of Object.entries(run)) {
    assertEquals([name, hex(value)], [name, vector[name as keyof typeof vector]]);
  }
  const records = new reading.Direction(unhex(vector.client_traffic_0));
  assertEquals(
    hex(records.seal(0x10, new TextEncoder().encode("hello"))),
    vector.record_data_hello_seq0,
  );
  assertEquals(hex(records.seal(0x11, new Uint8Array(0))), vector.record_key_update_seq1);
  assertEquals(hex(records.traffic), vector.client_traffic_1);

  function side(which: "client" | "server"): reading.Side {
    const { random, privateKey } = parameters(which);
    return {
      random,
      scalar: privateKey,
      maxRecord: vector.max_record,
      maxMessage: vector.max_message,
    };
  }
});

for (
  const [name, suite] of [["sealed", Suite.sealed], ["plain", Suite.plain], [
    "provider",
    Suite.provider,
  ]] as const
) {
  Deno.test(`handshake agrees with the second reading on random runs: ${name}`, () => {
    const seed = newSeed();
    const random = new Random(seed);
    for (let round = 0; round < (suite === Suite.sealed ? 12 : 40); round++) {
      const where = `seed ${seed} round ${round}`;
      const context = random.bytes(1 + random.below(64));
      const psk = random.bytes(32);
      const sides = [0, 1].map((): reading.Side => ({
        random: random.bytes(32),
        ...(suite === Suite.sealed ? { scalar: random.bytes(48) } : {}),
        maxRecord: 1024 + random.below(2 ** 20 - 1023),
        maxMessage: 1024 + random.below(2 ** 30 - 1023),
      }));
      const expected = reading.handshake({
        context,
        suite,
        psk,
        client: sides[0]!,
        server: sides[1]!,
      });
      const [client, server] = [ClientHandshake, ServerHandshake].map((
        _,
        i,
      ): HandshakeParameters => ({
        context,
        suite,
        secrets: i === 0 ? [psk] : [random.bytes(32), random.bytes(32), psk, random.bytes(32)],
        maxRecordBytes: sides[i]!.maxRecord,
        maxMessageBytes: sides[i]!.maxMessage,
        random: sides[i]!.random,
        privateKey: sides[i]!.scalar?.slice() ?? new Uint8Array(48),
      }));
      const ours = new ClientHandshake(client!);
      const theirs = new ServerHandshake(server!);
      const { m2 } = theirs.receiveHello(ours.start());
      const answered = ours.receiveHello(m2);
      if (!("m3" in answered)) throw new Error(where);
      const { m4, session } = theirs.receiveProof(answered.m3);
      const own = ours.receiveProof(m4);
      assertEquals(
        [ours.start(), m2, answered.m3, m4].map(hex),
        [expected.m1, expected.m2, expected.m3, expected.m4].map(hex),
        where,
      );
      for (const { secrets } of [own, session]) {
        assertEquals(hex(secrets.clientTraffic), hex(expected.client_traffic_0), where);
        assertEquals(hex(secrets.serverTraffic), hex(expected.server_traffic_0), where);
        assertEquals(hex(secrets.exporter), hex(expected.exporter), where);
        assertEquals(hex(secrets.sessionId), hex(expected.session_id), where);
      }
      assertEquals([session.peer.maxMessageBytes, own.peer.maxRecordBytes], [
        sides[0]!.maxMessage,
        sides[1]!.maxRecord,
      ], where);
    }
  });
}

Deno.test("RecordSealer and RecordOpener agree with the second reading on random records, cut anywhere", async () => {
  const seed = newSeed();
  const random = new Random(seed);
  for (let round = 0; round < 8; round++) {
    const where = `seed ${seed} round ${round}`;
    const traffic = random.bytes(48);
    const sealer = new RecordSealer(traffic.slice(), 0, { records: 3, bytes: 20_000, ageMs: 1e9 });
    const theirs = new reading.Direction(traffic.slice());
    const opener = new RecordOpener(traffic.slice(), 65536);
    const parts: Uint8Array[] = [];
    const wire: Uint8Array[] = [];
    for (let i = 0; i < 12; i++) {
      const update = sealer.updateIfDue(0);
      if (update !== null) {
        assertEquals(hex(update), hex(theirs.seal(0x11, new Uint8Array(0))), where);
        wire.push(update);
      }
      const plain = random.bytes(1 + random.below([64, 5000, 20_000][random.below(3)]!));
      const record = new Uint8Array(plain.length + RECORD_OVERHEAD_BYTES);
      if (i % 2 === 0) sealer.sealInto(record, RecordType.data, plain);
      else await sealer.sealAsync(record, plain);
      assertEquals(hex(record), hex(theirs.seal(0x10, plain)), where);
      parts.push(plain);
      wire.push(record);
    }
    wire.push(theirs.seal(0x12, new Uint8Array([7])));
    let rest = concat(wire);
    const opened: Uint8Array[] = [];
    let reason = -1;
    while (rest.length > 0) {
      const count = 1 + random.below(random.below(2) === 0 ? 30 : 9000);
      opener.input.push(rest.subarray(0, count));
      rest = rest.subarray(count);
      for (let next = opener.next(); next !== null; next = opener.next()) {
        if (next.type === "close") reason = next.reason;
        else opened.push(await next.plain);
      }
    }
    assertEquals(opened.map(hex), parts.map(hex), where);
    assertEquals([reason, opener.atBoundary], [7, true], where);
  }
});
