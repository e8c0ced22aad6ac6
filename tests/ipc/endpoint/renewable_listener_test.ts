// RenewableListener: a socket is bound only when the one before it has let go, and an accept outlasts that.
import { assertEquals, assertRejects } from "@std/assert";
import { RenewableListener } from "../../../ipc/endpoint/renewable_listener.ts";
import type { Incoming, Listener } from "../../../net/transport/transport.ts";

/** A listener whose accepts end when the test says so. */
class FakeListener implements Listener {
  readonly addr = { transport: "unix", path: "/x" } as const;
  readonly accepts: PromiseWithResolvers<Incoming | null>[] = [];
  readonly done: string[] = [];

  accept(): Promise<Incoming | null> {
    const waiting = Promise.withResolvers<Incoming | null>();
    this.accepts.push(waiting);
    return waiting.promise;
  }

  close(): void {
    this.done.push("close");
  }

  ref(): void {
    this.done.push("ref");
  }

  unref(): void {
    this.done.push("unref");
  }
}

const INCOMING = {} as Incoming;

Deno.test("RenewableListener.renew binds once the accept on the old socket has ended, and that accept goes on", async () => {
  const [first, second] = [new FakeListener(), new FakeListener()];
  const listener = new RenewableListener(first);
  listener.unref();
  const accepted = listener.accept();
  let isBound = false;
  const renewing = listener.renew(() => {
    isBound = true;
    return Promise.resolve(second);
  });
  assertEquals([first.done, isBound], [["unref", "close"], false]);
  await Promise.resolve();
  assertEquals(isBound, false);
  first.accepts[0]!.resolve(null);
  await renewing;
  assertEquals(second.done, ["unref"]);
  while (second.accepts.length === 0) await Promise.resolve();
  second.accepts[0]!.resolve(INCOMING);
  assertEquals(await accepted, INCOMING);
});

Deno.test("RenewableListener without a socket waits for the next, and ends when it is closed", async () => {
  const [first, second] = [new FakeListener(), new FakeListener()];
  const listener = new RenewableListener(first);
  await assertRejects(
    () => listener.renew(() => Promise.reject(new Error("no room"))),
    Error,
    "no room",
  );
  const accepted = listener.accept();
  await listener.renew(() => Promise.resolve(second));
  while (second.accepts.length === 0) await Promise.resolve();
  second.accepts[0]!.resolve(INCOMING);
  assertEquals(await accepted, INCOMING);
  await assertRejects(() => listener.renew(() => Promise.reject(new Error("no room"))));
  const last = listener.accept();
  let closed = 0;
  listener.close(() => closed++);
  listener.close(() => closed++);
  assertEquals([await last, closed], [null, 1]);
  const late = new FakeListener();
  await listener.renew(() => Promise.resolve(late));
  assertEquals(late.done, ["close"]);
});
