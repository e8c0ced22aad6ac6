// Tests of names and addresses: one rule for every backend, both families tried, never connected to oneself.
import { assert, assertEquals, assertRejects } from "@std/assert";
import dns from "node:dns/promises";
import net from "node:net";
import { AddressError } from "../../../errors.ts";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import {
  addressesToDial,
  addressesToListen,
  dialFirst,
  listenFirst,
} from "../../../net/socket/resolve.ts";
import { withoutBrackets } from "../../../net/address/brackets.ts";
import { clientTls, sourceOf, testCerts } from "../../support/programs/certs.ts";

const never: AbortSignal = new AbortController().signal;

/** Every way to dial over TCP, and the listener's side of it. */
const WAYS = ["plain", "plain that can reset", "TLS by node", "TLS by deno"] as const;

async function optionsOf(way: (typeof WAYS)[number]) {
  const certs = await testCerts();
  const canReset = way === "plain that can reset";
  if (!way.startsWith("TLS")) return { canReset, server: undefined, client: undefined };
  const backend = way.endsWith("node") ? "node" : "deno";
  const server = { credentials: sourceOf(certs.server), backend } as const;
  return { canReset, server, client: clientTls(certs, { backend }) };
}

/** Has the resolver answer what a test wants. */
function resolving(answer: () => Promise<{ address: string; family: number }[]>): Disposable {
  const lookup = dns.lookup;
  Object.assign(dns, { lookup: answer });
  return { [Symbol.dispose]: () => Object.assign(dns, { lookup }) };
}

Deno.test("withoutBrackets() takes brackets off IPv6 addresses and nothing else", () => {
  const hosts = [
    "[::1]",
    "[fe80::1%lo]",
    "::1",
    "127.0.0.1",
    "localhost",
    "[localhost]",
    "[",
    "[]",
    "[::1",
  ];
  const bare = [
    "::1",
    "fe80::1%lo",
    "::1",
    "127.0.0.1",
    "localhost",
    "[localhost]",
    "[",
    "[]",
    "[::1",
  ];
  assertEquals(hosts.map(withoutBrackets), bare);
});

Deno.test("addressesToDial() and addressesToListen() take localhost for the loopback addresses, IPv4 first", async () => {
  using _ = resolving(() => Promise.reject(new Error("not to be asked")));
  for (const hostname of ["localhost", "LOCALHOST", "localhost.", "db.localhost"]) {
    assertEquals(await addressesToDial({ hostname, port: 1 }, never), ["127.0.0.1", "::1"]);
    assertEquals(await addressesToListen({ hostname, port: 1 }), ["127.0.0.1", "::1"]);
  }
  assertEquals(await addressesToDial({ hostname: "::1", port: 1 }, never), ["::1"]);
});

Deno.test("addressesToDial() keeps the resolver's order, addressesToListen() puts IPv4 first", async () => {
  const found = ["2001:db8::1", "192.0.2.1", "2001:db8::1", "192.0.2.2"];
  using _ = resolving(() => Promise.resolve(found.map((address) => ({ address, family: 0 }))));
  const host = { hostname: "db.example", port: 1 };
  assertEquals(await addressesToDial(host, never), ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
  assertEquals(await addressesToListen(host), ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
});

Deno.test("addressesToDial() leaves a resolver that does not answer when its signal aborts", async () => {
  using _ = resolving(() => new Promise(() => {}));
  const controller = new AbortController();
  const looking = addressesToDial({ hostname: "db.example", port: 1 }, controller.signal);
  controller.abort(new Error("enough"));
  await assertRejects(() => looking, Error, "enough");
});

Deno.test({
  name: "addressesToDial() leaves a name to the platform where the program may dial the name alone",
  permissions: { net: ["db.example:1", "localhost:2"] },
  async fn() {
    using _ = resolving(() => Promise.reject(new Error("not to be asked")));
    assertEquals(await addressesToDial({ hostname: "db.example", port: 1 }, never), ["db.example"]);
    assertEquals(await addressesToDial({ hostname: "localhost", port: 2 }, never), ["localhost"]);
  },
});

Deno.test("dialFirst() dials the next address as soon as one fails, or when it does not answer", async () => {
  for (
    const first of [() => Promise.reject(new Error("refused")), () => new Promise<string>(() => {})]
  ) {
    const dialled: string[] = [];
    const attempt = (address: string) => {
      dialled.push(address);
      return address === "a" ? first() : Promise.resolve(address);
    };
    assertEquals(await dialFirst(["a", "b", "c"], never, attempt, () => {}), "b");
    assertEquals(dialled, ["a", "b"]);
  }
});

Deno.test("dialFirst() gives up the attempts that lost, and discards what comes up late", async () => {
  const late = Promise.withResolvers<string>();
  const discarded: string[] = [];
  let lost: AbortSignal | undefined;
  const won = await dialFirst(["slow", "fast"], never, (address, signal) => {
    if (address === "fast") return Promise.resolve(address);
    lost = signal;
    return late.promise;
  }, (made) => discarded.push(made));
  assertEquals([won, lost?.aborted], ["fast", true]);
  late.resolve("slow");
  await late.promise;
  assertEquals(discarded, ["slow"]);
});

Deno.test("dialFirst() rejects with what says most, and with the reason of its signal", async () => {
  const fault = (code: "ERR_ADDRESS_INVALID" | "ERR_CONNECT_REFUSED") =>
    new AddressError(code, code);
  const attempt = (address: string) =>
    Promise.reject(fault(address === "b" ? "ERR_CONNECT_REFUSED" : "ERR_ADDRESS_INVALID"));
  const error = await assertRejects(
    () => dialFirst(["a", "b", "c"], never, attempt, () => {}),
    AddressError,
  );
  assertEquals(error.code, "ERR_CONNECT_REFUSED");
  const controller = new AbortController();
  const dialling = dialFirst(
    ["a", "b"],
    controller.signal,
    () => new Promise<never>(() => {}),
    () => {},
  );
  controller.abort(new Error("enough"));
  await assertRejects(() => dialling, Error, "enough");
});

Deno.test("listenFirst() goes on to the next address where this machine lacks one, and not where it is in use", async () => {
  const bind =
    (codes: Record<string, "ERR_ADDRESS_INVALID" | "ERR_ADDRESS_IN_USE">) => (address: string) =>
      codes[address] === undefined
        ? Promise.resolve(address)
        : Promise.reject(new AddressError(codes[address], address));
  const host = { hostname: "localhost", port: 1 };
  assertEquals(await listenFirst(host, bind({})), "127.0.0.1");
  assertEquals(await listenFirst(host, bind({ "127.0.0.1": "ERR_ADDRESS_INVALID" })), "::1");
  await assertRejects(
    () => listenFirst(host, bind({ "127.0.0.1": "ERR_ADDRESS_IN_USE" })),
    AddressError,
  );
});

for (const way of WAYS) {
  Deno.test(`listen() on localhost, ${way}, is reached by its name and by 127.0.0.1, and dial() finds ::1 by the name as well`, async () => {
    const { canReset, server, client } = await optionsOf(way);
    const reach = async (listenOn: string, hostname: string): Promise<string> => {
      const listener = await listen({ hostname: listenOn, port: 0, tls: server }, { canReset });
      assert(listener.addr.transport === "tcp");
      const opening = listener.accept().then((incoming) => incoming!.open({ signal: never }));
      const target = { hostname, port: listener.addr.port, tls: client };
      const near = await dial(target, { signal: never, canReset });
      near.close();
      if (
        near.remoteAddr.transport === "tcp" && near.remoteAddr.hostname !== listener.addr.hostname
      ) {
        // Another program has this port at the other address: once more, with another port.
        opening.catch(() => {});
        listener.close();
        return reach(listenOn, hostname);
      }
      (await opening).close();
      listener.close();
      return listener.addr.hostname;
    };
    assertEquals(await reach("localhost", "localhost"), "127.0.0.1");
    assertEquals(await reach("localhost", "127.0.0.1"), "127.0.0.1");
    assertEquals(await reach("::1", "localhost"), "::1");
    assertEquals(await reach("[::1]", "[::1]"), "::1");
  });
}

Deno.test("dial() of a port at which it meets itself is refused, and closes the socket", async () => {
  const target = { hostname: "127.0.0.1", port: 40_000 };
  const connect = Deno.connect;
  let closed = 0;
  Deno.connect = (() => {
    const addr = { transport: "tcp", ...target };
    return Promise.resolve({ localAddr: addr, remoteAddr: addr, close: () => closed++ });
  }) as unknown as typeof Deno.connect;
  try {
    const error = await assertRejects(
      () => dial(target, { signal: never }),
      AddressError,
      "to itself",
    );
    assertEquals([error.code, closed], ["ERR_CONNECT_REFUSED", 1]);
  } finally {
    Deno.connect = connect;
  }
});

Deno.test("dial() by node of a port at which it meets itself is refused", async () => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  const { connect } = net;
  // Dialled from the very port: TCP connects the socket with itself.
  const fromItself = (options: net.TcpNetConnectOpts) =>
    connect({ ...options, localAddress: "127.0.0.1", localPort: options.port });
  Object.assign(net, { connect: fromItself });
  try {
    const dialling = () => dial({ hostname: "127.0.0.1", port }, { signal: never, canReset: true });
    const error = await assertRejects(dialling, AddressError, "to itself");
    assertEquals(error.code, "ERR_CONNECT_REFUSED");
  } finally {
    Object.assign(net, { connect });
  }
});
