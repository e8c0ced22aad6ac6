// stats() of IPC servers, clients and peers: both ends count the same.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { connectIpc, listenIpc, pairIpc, SecretKey } from "@parley/parley/ipc";
import { openMetrics } from "@parley/parley/stats";
import { parseOpenMetrics } from "../support/openmetrics_parser.ts";
import { RemoteError } from "../../errors.ts";
import { until } from "../support/wait.ts";
import { reportOf } from "../../stats/export/report.ts";
import { Channel } from "./channels.ts";

/** All values together. */
function sum(record: Readonly<Record<string, number>>): number {
  return Object.values(record).reduce((total, count) => total + count, 0);
}

Deno.test("IpcServer.stats() and IpcClient.stats() agree on messages, queries and bytes", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({
    ...channel.options,
    onQuery: (data) => {
      if (data.length === 0) throw new Error("nothing was asked");
      return data;
    },
  });
  const client = await connectIpc(channel.options);
  await client.send(1, "x".repeat(500));
  assertEquals(new TextDecoder().decode(await client.query("?")), "?");
  await assertRejects(() => client.query(""));
  await client.flush();
  const [there, here] = [server.stats(), client.stats()];
  assertEquals([there.kind, there.role, there.state], ["ipc", "server", "connected"]);
  assertEquals([here.role, here.state, here.name], ["client", "connected", server.name]);
  const { messagesIn, queriesIn, bytesIn, handlerErrors, connectionsOpened } = there.overall;
  assertEquals({ messagesIn, queriesIn, handlerErrors, connectionsOpened }, {
    messagesIn: 1,
    queriesIn: 2,
    handlerErrors: 1,
    connectionsOpened: 1,
  });
  assertEquals(bytesIn, here.overall.bytesOut);
  assertEquals(there.overall.bytesOut, here.overall.bytesIn);
  assert(bytesIn > 500);
  assertEquals(there.today.counters, there.overall);
  assertEquals(there.connections[0]?.id, client.sessionId);
  assertEquals([...server.clients.values()][0]?.stats().messagesIn, 1);
  assertEquals(JSON.parse(JSON.stringify(there)), there);

  const wrong = { ...channel.options, secret: SecretKey.generate(), connectTimeoutMs: 500 };
  await assertRejects(() => connectIpc(wrong));
  await until("the stranger is counted", () => server.stats().overall.handshakeFailures > 0);
  const { errors, refusals } = reportOf("jobs", server.stats(), { maxLinks: 0 });
  const { handlerErrors: _, ...handshakes } = errors;
  assertEquals(sum(handshakes), server.stats().overall.handshakeFailures);
  assertEquals(sum(server.stats().failed), server.stats().overall.handshakeFailures);
  assertEquals(refusals, {});

  await client.close();
  await until("the client is gone", () => server.stats().overall.connectionsClosed === 1);
  assertEquals([server.stats().overall.messagesIn, server.stats().connections.length], [1, 0]);
  assertEquals(client.stats().overall.messagesOut, 1);
  const families = parseOpenMetrics(openMetrics({ jobs: server.stats() }));
  const [sample] = families.get("parley_received_queries")!.samples;
  assertEquals([sample?.labels["name"], sample?.value], ["jobs", 2]);
});

Deno.test("IpcServer.stats() counts no handler error for a RemoteError that is the answer, and one for other errors", async () => {
  await using channel = new Channel();
  const reported: unknown[] = [];
  await using server = await listenIpc({
    ...channel.options,
    onError: (error) => reported.push((error as Error).message),
    onQuery: (data) => {
      const text = new TextDecoder().decode(data);
      if (text === "purpose") throw new RemoteError("ERR_NOT_TODAY", "come back tomorrow");
      // A code that cannot be sent is no answer.
      throw text === "code" ? new RemoteError("not a code", text) : new Error(text);
    },
  });
  await using client = await connectIpc(channel.options);
  for (
    const [query, code, count] of [["purpose", "ERR_NOT_TODAY", 0], [
      "fault",
      "ERR_HANDLER",
      1,
    ]] as const
  ) {
    const error = await assertRejects(() => client.query(query), RemoteError);
    assertEquals([error.code, server.stats().overall.handlerErrors], [code, count]);
  }
  await assertRejects(() => client.query("code"), RemoteError);
  assertEquals([server.stats().overall.handlerErrors, reported], [2, ["fault", "code"]]);
});

Deno.test("IpcPeer.stats() counts over both processes it has been with", async () => {
  await using channel = new Channel();
  await using one = await pairIpc(channel.options, (data) => data);
  for (let turn = 1; turn <= 2; turn++) {
    const two = await pairIpc(channel.options, (data) => data);
    await one.connected();
    await two.query("?");
    await two.close();
    await until("it is alone", () => one.stats().overall.connectionsClosed === turn);
  }
  const { role, overall } = one.stats();
  assertEquals([role, overall.queriesIn, overall.connectionsOpened], ["peer", 2, 2]);
});

Deno.test("IpcServer.stats() has the time of each query from its arrival to its answer, also of ended connections", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({
    ...channel.options,
    onQuery: async (data) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (data.length === 0) throw new Error("nothing was asked");
      return data;
    },
    onError() {},
  });
  const client = await connectIpc(channel.options);
  await client.query("?");
  await assertRejects(() => client.query(""));
  const { count, sumMs } = server.stats().requests;
  assertEquals(count, 2);
  assert(sumMs >= 36 && sumMs < 5000, `${sumMs}`);
  assertEquals(client.stats().requests.count, 0);
  const [error] = server.stats().recentErrors;
  assertEquals([error?.phase, error?.code, error?.count], ["query", "Error", 1]);
  await client.close();
  await until("the client is gone", () => server.stats().connections.length === 0);
  assertEquals(server.stats().requests.count, 2);
  const families = parseOpenMetrics(openMetrics(server.stats()));
  const sample = families.get("parley_request_duration_seconds")?.samples.find(({ suffix }) =>
    suffix === "_count"
  );
  assertEquals(sample?.value, 2);
});
