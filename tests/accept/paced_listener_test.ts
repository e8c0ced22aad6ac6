// Tests of PacedListener: it asks its listener for a connection only while there is room.
import { assertEquals, assertStrictEquals } from "@std/assert";
import { PacedListener } from "../../accept/paced_listener.ts";
import type { Incoming, Listener } from "../../net/transport/transport.ts";

const ADDRESS = { transport: "memory", name: "paced" } as const;
const INCOMING: Incoming = {
  localAddr: ADDRESS,
  remoteAddr: ADDRESS,
  open: () => Promise.reject(new Error("Not wanted")),
  refuse() {},
};

/** A listener that always has a connection, and notes what it was asked for. */
function noting() {
  const calls: string[] = [];
  let isClosed = false;
  const listener: Listener = {
    addr: ADDRESS,
    accept() {
      calls.push("accept");
      return Promise.resolve(isClosed ? null : INCOMING);
    },
    close() {
      isClosed = true;
      calls.push("close");
    },
    ref: () => void calls.push("ref"),
    unref: () => void calls.push("unref"),
  };
  return { calls, listener };
}

Deno.test("PacedListener.accept() waits until there is room, and asks again at each recheck", async () => {
  let hasRoom = true;
  const { calls, listener } = noting();
  const paced = new PacedListener(listener, () => hasRoom);
  assertStrictEquals(await paced.accept(), INCOMING);
  hasRoom = false;
  let isAccepted = false;
  const accepting = paced.accept().then((incoming) => {
    isAccepted = true;
    return incoming;
  });
  paced.recheck();
  for (let hop = 0; hop < 100; hop++) await null;
  assertEquals([isAccepted, calls], [false, ["accept"]]);
  hasRoom = true;
  paced.recheck();
  assertStrictEquals(await accepting, INCOMING);
  assertEquals(calls, ["accept", "accept"]);
});

Deno.test("PacedListener.close() ends an accept that waits for room", async () => {
  const { calls, listener } = noting();
  const paced = new PacedListener(listener, () => false);
  const accepting = paced.accept();
  paced.ref();
  paced.unref();
  paced.close();
  assertEquals(await accepting, null);
  assertEquals(calls, ["ref", "unref", "close", "accept"]);
  assertEquals(paced.addr, ADDRESS);
});
