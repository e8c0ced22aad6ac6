// Types of codecs and typed links: right programs compile and have the types that hovering shows;
// wrong programs do not compile.
//
// `deno check` is what tests here: a line below `@ts-expect-error` that compiles is an error.
import { assertEquals } from "@std/assert";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import {
  broadcast,
  type Client,
  type ClientStatus,
  type Connection,
  type ConnectionEnd,
  type Server,
} from "@parley/parley";
import {
  type bytes,
  type Codec,
  type Decoded,
  type Encodable,
  json,
  type SchemaInput,
  type SchemaOutput,
  type StandardSchema,
  text,
  typed,
  type TypedConnection,
  type TypedStream,
} from "@parley/parley/codec";
import type { IpcClient, IpcServer, IpcServerClient } from "@parley/parley/ipc";
import type { WireStream } from "@parley/parley/wire";
import { assertType, type Same } from "./same.ts";

declare const conn: Connection<{ user: string }>;
declare const client: Client;
declare const stream: WireStream;
declare const ipcClient: IpcClient;
declare const ipcServer: IpcServer;
declare const serverClient: IpcServerClient;
declare const server: Server;

const dated = z.object({
  at: z.string().transform((at) => new Date(at)),
  n: z.number().default(1),
});
interface DatedIn {
  at: string;
  n?: number | undefined;
}
interface DatedOut {
  at: Date;
  n: number;
}

Deno.test("json, text and bytes have the types of what is sent and received", () => {
  const zod = json(dated);
  assertType<Same<Decoded<typeof zod>, { at: Date; n: number }>>(true);
  assertType<Same<Encodable<typeof zod>, { at: string; n?: number | undefined }>>(true);
  const valibot = json(v.object({ n: v.optional(v.number(), 1) }));
  assertType<Same<Decoded<typeof valibot>, { n: number }>>(true);
  const ark = json(type({ n: "number = 1" }));
  assertType<Same<Decoded<typeof ark>, { n: number }>>(true);
  const plain = json<{ a: 1 }>();
  assertType<Same<typeof plain, Codec<{ a: 1 }>>>(true);
  const none = json();
  assertType<Same<Decoded<typeof none>, unknown>>(true);
  assertType<Same<Decoded<ReturnType<typeof text>>, string>>(true);
  assertType<Same<Encodable<ReturnType<typeof bytes>>, Uint8Array>>(true);
  assertEquals(valibot.decode(valibot.encode({})), { n: 1 });
  assertEquals(ark.decode(ark.encode({})), { n: 1 });
});

Deno.test("a Standard Schema is that of the specification, both ways", () => {
  const theirs = (schema: StandardSchema<string, Date>): StandardSchemaV1<string, Date> => schema;
  const ours = (schema: StandardSchemaV1<string, Date>): StandardSchema<string, Date> => schema;
  assertType<Same<SchemaInput<StandardSchemaV1<string, Date>>, string>>(true);
  assertType<Same<SchemaOutput<StandardSchemaV1<string, Date>>, Date>>(true);
  assertEquals([typeof theirs, typeof ours], ["function", "function"]);
});

export async function rightLinks(): Promise<void> {
  const chat = typed(conn, json(dated), {
    onInvalid: (error, message) => void [error.issues, message.length],
  });
  assertType<Same<typeof chat, TypedConnection<DatedOut, DatedIn, { user: string }>>>(true);
  const received = await chat.receive({ timeoutMs: 1 });
  if (received !== null) assertType<Same<typeof received.at, Date>>(true);
  for await (const { at } of chat) assertType<Same<typeof at, Date>>(true);
  await chat.send({ at: "2026" });
  const user: string = chat.link.data.user;
  const end: ConnectionEnd = await chat.closed;
  await new ReadableStream<{ at: string }>().pipeTo(chat.writable);

  const kept = typed(client, text());
  const status: ClientStatus = kept.status;
  await kept.flush();

  const talk = typed(stream, json<number>(), { maxMessageBytes: 5 });
  assertType<Same<typeof talk, TypedStream<number, number>>>(true);
  const reader: ReadableStream<number> = talk.readable;

  const result = await broadcast(server.connections, "Hi!", { slow: "drop" });
  const counts: number = result.sent + result.dropped + result.ended + result.failed;
  await broadcast([chat], { at: "2026" });
  await broadcast(new Map([["a", chat]]).values(), { at: "2026" });
  void [user, end, status, reader, counts];
}

export async function rightIpc(): Promise<void> {
  const codecs = { 1: json<{ id: number }>(), 2: text() };
  const channel = typed(ipcClient, codecs);
  await channel.send(1, { id: 7 });
  await channel.send(2, "soon");
  const message = await channel.receive();
  if (message?.type === 1) assertType<Same<typeof message.data, { id: number }>>(true);
  if (message?.type === 2) assertType<Same<typeof message.data, string>>(true);
  for await (const { client, data, type } of typed(ipcServer, codecs)) {
    assertType<Same<typeof client, IpcServerClient>>(true);
    if (type === 2) assertType<Same<typeof data, string>>(true);
  }
  const back = typed(serverClient, codecs, { onInvalid: (_, { client }) => client.abort() });
  const state: "connected" | "closing" | "closed" = back.status;
  void state;
}

export async function wrong(): Promise<void> {
  const chat = typed(conn, json(dated));
  // @ts-expect-error a Date is what is received, not what is sent
  await chat.send({ at: new Date() });
  // @ts-expect-error a property is missing
  await chat.send({ n: 1 });
  // @ts-expect-error a misspelt option
  typed(conn, text(), { oninvalid: () => {} });
  // @ts-expect-error an option of streams alone
  typed(conn, text(), { maxMessageBytes: 5 });
  // @ts-expect-error a schema is no codec
  typed(conn, dated);
  // @ts-expect-error a connection has one codec
  typed(conn, { 1: text() });
  // @ts-expect-error an IPC endpoint has a codec for each type
  typed(ipcClient, text());
  // @ts-expect-error a stream has no flush
  await typed(stream, text()).flush();

  const channel = typed(ipcClient, { 1: json<{ id: number }>(), 2: text() });
  // @ts-expect-error the value of another type
  await channel.send(1, "soon");
  // @ts-expect-error a type without a codec
  await channel.send(3, "soon");
  const message = await channel.receive();
  // @ts-expect-error the message may be of another type
  void message?.data.id;

  // @ts-expect-error the value of another codec
  await broadcast([typed(conn, text())], 5);
  // @ts-expect-error a plain connection sends no objects
  await broadcast(server.connections, { at: "2026" });
  // @ts-expect-error a misspelt policy
  await broadcast(server.connections, "Hi!", { slow: "skip" });
  // @ts-expect-error the output of a codec of one's own
  const codec: Codec<number> = { encode: () => new Uint8Array(), decode: () => "text" };
  void codec;
}
