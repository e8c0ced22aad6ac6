// Typed calls in memory, each beside the least that must be done: `deno bench -A bench/calls_bench.ts`.
import { z } from "zod";
import { answer, call, caller, contract } from "../calls/mod.ts";
import { CallTable } from "../calls/ports/call_table.ts";
import type { CallPort } from "../calls/ports/port.ts";
import { encodeHead, encodeHeadStart, readHead } from "../calls/protocol/head.ts";
import { encodeValue, readReply } from "../calls/protocol/reply.ts";
import { json } from "../codec/mod.ts";
import { Connection } from "../connection.ts";
import { memoryPair } from "../net/transport/memory_pair.ts";

const TEXT = "abcdefghijklmnopqrstuvwxyz".repeat(3).slice(0, 64);
const INPUT = new TextEncoder().encode(JSON.stringify(TEXT));

{
  const group = "a call of 64 B to a handler of this process, without a carrier";
  const race = contract({
    echo: call<string, string>(),
    checked: call({ input: z.string(), output: z.string() }),
  }, { name: "race" });
  const table = new CallTable();
  answer(table, race, { echo: (text) => text, checked: (text) => text });
  const signals = new AbortController();
  const link = new Connection(memoryPair()[0]);
  const port: CallPort = {
    peer: "the server",
    ask: async (request) =>
      await table.ask(request.request(0), { peer: undefined, via: link, caller: signals }),
    stream: () => Promise.reject(new TypeError("There are no streams")),
  };
  const remote = caller(port, race);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const cross = (text: string): string =>
    JSON.parse(decoder.decode(encoder.encode(JSON.stringify(text)))) as string;

  Deno.bench({ name: "JSON there and back, and a promise", group, baseline: true }, async () => {
    for (let i = 0; i < 100; i++) cross(await Promise.resolve(cross(TEXT)));
  });
  Deno.bench({ name: "types alone", group }, async () => {
    for (let i = 0; i < 100; i++) await remote.echo(TEXT);
  });
  Deno.bench({ name: "validated by zod on both sides", group }, async () => {
    for (let i = 0; i < 100; i++) await remote.checked(TEXT);
  });
}

{
  const group = "1000 calls of 64 B, 64 in flight, over a connection in memory";
  const race = contract({ echo: call<string, string>() }, { name: "race" });
  const [near, far] = memoryPair();
  answer(new Connection(far), race, { echo: (text) => text });
  const remote = caller(new Connection(near), race);
  const inTurns = async (ask: () => Promise<string>): Promise<void> => {
    let left = 1000;
    await Promise.all(Array.from({ length: 64 }, async () => {
      while (left-- > 0) await ask();
    }));
  };
  Deno.bench({ name: "a promise for each, no more", group, baseline: true }, async () => {
    await inTurns(() => Promise.resolve(TEXT));
  });
  Deno.bench({ name: "caller and answer", group }, async () => {
    await inTurns(() => remote.echo(TEXT));
  });
}

{
  const group = "head and input of a call";
  const start = encodeHeadStart({ kind: "call", name: "race.echo", version: "" });
  const request = encodeHead(start, { timeoutMs: 30_000, trace: "" }, INPUT);
  Deno.bench({ name: "one array and two sets", group, baseline: true }, () => {
    for (let i = 0; i < 100; i++) {
      const bytes = new Uint8Array(request.length);
      bytes.set(start);
      bytes.set(INPUT, start.length + 6);
    }
  });
  Deno.bench({ name: "encodeHead", group }, () => {
    for (let i = 0; i < 100; i++) encodeHead(start, { timeoutMs: 30_000, trace: "" }, INPUT);
  });
  Deno.bench({ name: "readHead", group }, () => {
    for (let i = 0; i < 100; i++) readHead(request);
  });
  Deno.bench({ name: "encodeValue and readReply", group }, () => {
    for (let i = 0; i < 100; i++) readReply(encodeValue(INPUT));
  });
}

{
  const group = "json() of an object of 64 B, there and back";
  const value = { id: 17, name: "a name of some length", tags: ["one", "two"] };
  const shape = z.object({ id: z.number(), name: z.string(), tags: z.array(z.string()) });
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const plain = json<typeof value>();
  const checked = json(shape);
  Deno.bench({ name: "JSON, TextEncoder, TextDecoder", group, baseline: true }, () => {
    for (let i = 0; i < 100; i++) JSON.parse(decoder.decode(encoder.encode(JSON.stringify(value))));
  });
  Deno.bench({ name: "json()", group }, () => {
    for (let i = 0; i < 100; i++) plain.decode(plain.encode(value));
  });
  Deno.bench({ name: "json(schema of zod)", group }, () => {
    for (let i = 0; i < 100; i++) checked.decode(checked.encode(value));
  });
}
