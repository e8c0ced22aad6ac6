// StatusFeed: every watcher sees every event in order, up to closed; slow ones lose the least.
import { assertEquals } from "@std/assert";
import type { ClientStatus, ClientStatusEvent } from "@parley/parley";
import { StatusFeed } from "../../client/status.ts";
import { isSettled } from "../support/simulation/memory_connections.ts";

function event(attempt: number, status: ClientStatus = "connecting"): ClientStatusEvent {
  return { status, attempt, at: new Date(0) };
}

async function attempts(events: AsyncIterable<ClientStatusEvent>): Promise<number[]> {
  return (await Array.fromAsync(events)).map(({ attempt }) => attempt);
}

Deno.test("StatusFeed.watch() begins with the present event, for each watcher on its own", async () => {
  const feed = new StatusFeed(event(0));
  const early = attempts(feed.watch());
  feed.push(event(1));
  const late = attempts(feed.watch());
  const slow = feed.watch();
  feed.push(event(2));
  feed.push(event(3, "closed"));
  assertEquals(await early, [0, 1, 2, 3]);
  assertEquals(await late, [1, 2, 3]);
  assertEquals(await attempts(slow), [1, 2, 3]);
  assertEquals(await slow.next(), { value: undefined, done: true });
  assertEquals(await attempts(feed.watch()), [3]);
});

Deno.test("StatusFeed.watch() gives each of several waits an event of its own", async () => {
  const feed = new StatusFeed(event(0));
  const watcher = feed.watch();
  const waits = [watcher.next(), watcher.next(), watcher.next(), watcher.next()];
  feed.push(event(1));
  feed.push(event(2, "closed"));
  const results = await Promise.all(waits);
  assertEquals(results.map(({ value }) => value?.attempt), [0, 1, 2, undefined]);
});

Deno.test("StatusFeed.watch() ends when its loop is left, and settles what waits", async () => {
  const feed = new StatusFeed(event(0));
  const watcher = feed.watch();
  for await (const { attempt } of watcher) {
    assertEquals(attempt, 0);
    break;
  }
  feed.push(event(1));
  assertEquals(await watcher.next(), { value: undefined, done: true });
  const waiting = feed.watch();
  await waiting.next();
  const next = waiting.next();
  assertEquals(await isSettled(next), false);
  await waiting.return!();
  assertEquals(await next, { value: undefined, done: true });
});

Deno.test("StatusFeed.watch() keeps 256 events for who is behind: losses and the newest", async () => {
  const feed = new StatusFeed(event(-1));
  const watcher = feed.watch();
  const loss = { handedMessages: 1, uncertainMessages: 0, keptMessages: 0, earlierMessages: 0 };
  for (let i = 0; i < 1000; i++) feed.push({ ...event(i), ...i % 100 === 0 && { loss } });
  feed.push(event(1000, "closed"));
  const seen = await attempts(watcher);
  assertEquals(seen.length, 256);
  assertEquals(seen.slice(0, 9), [0, 100, 200, 300, 400, 500, 600, 700, 753]);
  assertEquals(seen.at(-1), 1000);
});
