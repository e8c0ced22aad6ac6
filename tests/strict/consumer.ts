// A program of a strict user: it has optional limits, and passes them on to each public function
// that takes some.
//
// tools/check_linked.ts runs it outside the repository, and consumer_test.ts within.
import {
  Client,
  connect,
  connectTransport,
  listenTransport,
  memoryPair,
  serve,
} from "@parley/parley";
import {
  answer,
  call,
  type Caller,
  caller,
  CallError,
  type CallOf,
  type CallVia,
  collect,
  type Contract,
  contract,
  feed,
  talk,
} from "@parley/parley/calls";
import { connect as connectOnly } from "@parley/parley/client";
import { json, text, typed } from "@parley/parley/codec";
import { FrameDecoderStream, lengthPrefixed } from "@parley/parley/framing";
import { connectIpc, type IpcPeer, listenIpc, pairIpc } from "@parley/parley/ipc";
import { MuxSession } from "@parley/parley/mux";
import { Pool, splice } from "@parley/parley/pool";
import { serve as serveOnly, type Server } from "@parley/parley/server";
import { openMetrics, serveStats } from "@parley/parley/stats";
import { createCa, createCertificate, fetchCertificates } from "@parley/parley/tls";
import { expose, forward, join, mount } from "@parley/parley/wire";

/** What the program's own caller may say: without `| undefined`, so that its own members are exact. */
export interface Limits {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** Uses each subpath; returns how many questions were answered. */
export async function useEverySubpath(limits: Limits): Promise<number> {
  const asks = [
    askServer,
    askTransport,
    askPool,
    askMux,
    askWire,
    askTunnel,
    askIpc,
    askPair,
    askFraming,
    askCodec,
    askCalls,
  ];
  let answered = 0;
  for (const ask of asks) {
    await ask(limits);
    answered++;
  }
  return answered;
}

function echoServer(signal: AbortSignal | undefined): Server {
  return serve({ signal }, async (conn) => {
    for await (const message of conn) await conn.send(message);
  });
}

async function askServer({ signal, timeoutMs }: Limits): Promise<void> {
  const ca = await createCa();
  const tls = await createCertificate({ ca, hosts: ["localhost"] });
  await using server = serveOnly({ tls, signal }, async (conn) => await conn.send("Hi!"));
  await server.ready;
  const trusted = { caCerts: [ca.cert], serverName: "localhost" };
  await using conn = await connect({ ...server.addr, tls: trusted, signal, timeoutMs });
  expect(await conn.receive({ signal, timeoutMs }), "Hi!");
  await using client = new Client({ ...server.addr, tls: trusted, timeoutMs });
  expect(await client.receive({ signal, timeoutMs }), "Hi!");
  await fetchCertificates({ ...server.addr, serverName: "localhost", signal, timeoutMs });
  await using page = serveStats({ server }, { signal });
  await page.ready;
  if (!openMetrics({ server: server.stats() }).includes("parley")) throw new Error("No metrics");
  await client.close();
  await conn.close();
  await server.shutdown({ timeoutMs });
}

async function askTransport({ signal, timeoutMs }: Limits): Promise<void> {
  await using listener = listenTransport({ signal });
  await listener.ready;
  const accepting = listener.accept({ signal, timeoutMs });
  const transport = await connectTransport({ ...listener.addr, signal, timeoutMs });
  (await accepting)?.close();
  transport.close();
}

async function askPool({ signal, timeoutMs }: Limits): Promise<void> {
  await using server = echoServer(signal);
  await server.ready;
  await using proxy = serve(async (conn) => {
    await splice(conn, await connectOnly({ ...server.addr, signal, timeoutMs }), { signal });
  });
  await proxy.ready;
  await using pool = new Pool({ backends: [{ ...proxy.addr, name: "proxy" }] });
  const answer = await pool.use(async (conn) => {
    await conn.send("Hi!");
    return await conn.receive({ signal, timeoutMs });
  }, { signal, timeoutMs });
  expect(answer, "Hi!");
  (await pool.acquire({ signal, timeoutMs })).release();
  await pool.drain("proxy", { timeoutMs });
  await pool.remove("proxy", { timeoutMs });
  await pool.close({ timeoutMs });
}

async function askMux({ signal, timeoutMs }: Limits): Promise<void> {
  const [near, far] = memoryPair();
  const [asking, answering] = [
    new MuxSession(near, { role: "client" }),
    new MuxSession(far, { role: "server" }),
  ];
  const question = await asking.openStream({ signal, timeoutMs });
  await question.write(new TextEncoder().encode("Hi!"), { signal, timeoutMs });
  await question.closeWrite();
  const stream = await answering.acceptStream({ signal, timeoutMs });
  expect(await stream?.read({ signal, timeoutMs }), "Hi!");
  await asking.ping({ signal, timeoutMs });
  await stream?.close({ signal, timeoutMs });
  await question.close({ signal, timeoutMs });
  await Promise.all([asking.close({ timeoutMs }), answering.close({ timeoutMs })]);
}

async function askWire({ signal, timeoutMs }: Limits): Promise<void> {
  await using server = mount({ insecureAnyone: true, signal });
  await server.ready;
  await using agent = join({
    ...server.addr,
    identity: "agent",
    signal,
    timeoutMs,
    handlers: {
      echo: async (stream) => {
        const { chunks, sink } = collector();
        await stream.writeTo(sink, { signal, timeoutMs });
        await stream.readFrom(chunks, { signal, timeoutMs });
      },
      plain: async (stream) => {
        await stream.write(await stream.read({ signal, timeoutMs }) ?? "", { signal, timeoutMs });
      },
    },
  });
  await agent.ready;
  const session = await server.waitFor("agent", { signal, timeoutMs });
  await session.ping({ signal, timeoutMs });
  const stream = await session.open("echo", { signal, timeoutMs });
  await stream.readFrom([new TextEncoder().encode("Hi!")], { signal, timeoutMs });
  const { chunks, sink } = collector();
  await stream.writeTo(sink, { signal, timeoutMs });
  expect(chunks[0], "Hi!");
  await stream.close({ signal, timeoutMs });
  const other = await server.open("agent", "plain", { signal, timeoutMs });
  await other.write("Hi!", { signal, timeoutMs });
  expect(await other.read({ signal, timeoutMs }), "Hi!");
  await agent.close({ timeoutMs });
  await server.shutdown({ timeoutMs });
}

async function askTunnel({ signal, timeoutMs }: Limits): Promise<void> {
  await using target = echoServer(signal);
  await using server = mount({ insecureAnyone: true, signal });
  await Promise.all([target.ready, server.ready]);
  await using agent = join({ ...server.addr, identity: "agent", signal, timeoutMs });
  await agent.ready;
  using _exposed = expose(server, "echo", { port: portOf(target), timeoutMs });
  await using tunnel = await forward(agent, "echo", { timeoutMs });
  await using conn = await connect({ ...tunnel.addr, signal, timeoutMs });
  await conn.send("Hi!");
  expect(await conn.receive({ signal, timeoutMs }), "Hi!");
}

async function askIpc({ signal, timeoutMs }: Limits): Promise<void> {
  const name = `strict-${crypto.randomUUID()}`;
  await using server = await listenIpc({ name, signal, onQuery: (data) => data });
  await using client = await connectIpc({ name, signal, onQuery: (data) => data });
  expect(await client.query("Hi!", { signal, timeoutMs }), "Hi!");
  await client.send(1, "Hi!");
  expect((await server.receive({ signal, timeoutMs }))?.data, "Hi!");
  await client.send(1, "Hi!");
  await server.receiveRound({ signal, timeoutMs });
  expect(await server.query("Hi!", { signal, timeoutMs }), "Hi!");
  await server.send(1, "Hi!");
  expect((await client.receive({ signal, timeoutMs }))?.data, "Hi!");
  await client.close({ timeoutMs });
  await server.shutdown({ timeoutMs });
}

async function askPair({ signal, timeoutMs }: Limits): Promise<void> {
  const name = `strict-${crypto.randomUUID()}`;
  const pairing = [1, 2].map(() => pairIpc({ name, signal }, (data) => data));
  const [one, other] = await Promise.all(pairing) as [IpcPeer, IpcPeer];
  await Promise.all([one.connected({ signal, timeoutMs }), other.connected({ signal, timeoutMs })]);
  await one.send(1, "Hi!");
  expect((await other.receive({ signal, timeoutMs }))?.data, "Hi!");
  expect(await one.query("Hi!", { signal, timeoutMs }), "Hi!");
  await Promise.all([one.close({ timeoutMs }), other.close({ timeoutMs })]);
}

async function askFraming(_limits: Limits): Promise<void> {
  const messages = ReadableStream.from([new Uint8Array([0, 3, 72, 105, 33])])
    .pipeThrough(new FrameDecoderStream(lengthPrefixed({ bytes: 2 }), { maxMessageBytes: 64 }));
  for await (const message of messages) expect(message, "Hi!");
}

async function askCodec({ signal, timeoutMs }: Limits): Promise<void> {
  await using server = serve({ signal }, async (conn) => {
    const link = typed(conn, json<{ text: string }>());
    for await (const { text } of link) await link.send({ text: text.toUpperCase() });
  });
  await server.ready;
  await using link = typed(
    await connect({ ...server.addr, signal, timeoutMs }),
    json<{ text: string }>(),
    { onInvalid: undefined },
  );
  await link.send({ text: "Hi!" });
  const answer = await link.receive({ signal, timeoutMs });
  expect(text().encode(answer?.text ?? ""), "HI!");
  await link.close({ timeoutMs });
}

/** A contract whose type is written out: the project may have `isolatedDeclarations`. */
export const greeter: Contract<{
  greet: CallOf<"call", string, string>;
  fail: CallOf<"call">;
  letters: CallOf<"feed", string, string>;
  length: CallOf<"collect", string, number>;
  shout: CallOf<"talk", string, string>;
}> = contract({
  greet: call<string, string>({ idempotent: true, timeoutMs: undefined }),
  fail: call(),
  letters: feed<string, string>(),
  length: collect<string, number>(),
  shout: talk<string, string>(),
}, { name: "greeter", version: undefined });

async function askCalls(limits: Limits): Promise<void> {
  await using server = mount({ insecureAnyone: true, signal: limits.signal });
  await server.ready;
  const stop = answer(server, greeter, {
    greet: (name, { peer }) => `${name} ${peer}`,
    fail: () => {
      throw new CallError("ERR_ANY", "Any", { left: 3 });
    },
    letters: (word) => [...word],
    length: async (words) => (await Array.fromAsync(words)).join("").length,
    async *shout(words) {
      for await (const word of words) yield word.toUpperCase();
    },
  }, { authorize: undefined, onError: undefined, logger: undefined });
  await using agent = join({ ...server.addr, identity: "agent" });
  await askGreeter(agent, limits);
  stop();
}

async function askGreeter(via: CallVia, { signal, timeoutMs }: Limits): Promise<void> {
  const remote: Caller<typeof greeter> = caller(via, greeter, { timeoutMs });
  const said = [await remote.greet("Hi", { signal, timeoutMs })];
  const failed = await remote.fail(undefined, { signal, timeoutMs }).catch((error) => error);
  if (failed instanceof CallError) said.push(failed.code);
  const limits = { signal, timeoutMs, openTimeoutMs: timeoutMs, idleTimeoutMs: timeoutMs };
  for await (const letter of remote.letters("ab", limits)) said.push(letter);
  said.push(`${await remote.length(["ab", "c"], { signal, timeoutMs })}`);
  for await (const word of remote.shout(["x"], limits)) said.push(word);
  expect(new TextEncoder().encode(said.join(",")), "Hi agent,ERR_ANY,a,b,3,X");
}

function portOf({ addr }: Server): number {
  if (addr.transport !== "tcp") throw new Error("Not on a port");
  return addr.port;
}

/** A sink that keeps what is written to it. */
function collector(): { chunks: Uint8Array[]; sink: WritableStream<Uint8Array> } {
  const chunks: Uint8Array[] = [];
  return { chunks, sink: new WritableStream({ write: (chunk) => void chunks.push(chunk) }) };
}

function expect(answer: Uint8Array | null | undefined, wanted: string): void {
  const text = answer === null || answer === undefined
    ? "nothing"
    : new TextDecoder().decode(answer);
  if (text !== wanted) throw new Error(`Wanted "${wanted}", got "${text}"`);
}

if (import.meta.main) console.log(`${await useEverySubpath({})} answers`);
