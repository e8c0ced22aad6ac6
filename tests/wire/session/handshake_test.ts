// Tests of accepted and refused clients, and of what clients leave behind that never come so far.
import { assertEquals, assertRejects } from "@std/assert";
import { hub, mount, sameToken } from "@parley/parley/wire";
import { MuxSession } from "@parley/parley/mux";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import { FrameChannel } from "../../../wire/protocol/frame_stream.ts";
import { utf8 } from "../../support/bytes.ts";
import { codeOf, errorOf } from "../../support/peers/servers.ts";
import { settles, until } from "../../support/wait.ts";
import { authorize, mounted, TestWire } from "../../support/peers/wires.ts";
import { join } from "@parley/parley/wire";

const portOf = (test: TestWire) => (test.server.addr as { port: number }).port;
const { signal } = new AbortController();

Deno.test("sameToken is true for the same text alone: no prefix, no repetition, nothing that is longer", () => {
  const secret = "a good secret";
  assertEquals(sameToken(secret, secret), true);
  for (let length = 0; length < secret.length; length++) {
    assertEquals(sameToken(secret.slice(0, length), secret), false, `the first ${length}`);
    assertEquals(sameToken(secret, secret.slice(0, length)), false, `longer than ${length}`);
  }
  for (
    const other of [
      `${secret}x`,
      secret + secret,
      secret.toUpperCase(),
      `${secret}\0`,
      " " + secret,
      "ä".repeat(13),
    ]
  ) {
    assertEquals([sameToken(other, secret), sameToken(secret, other)], [false, false], other);
  }
});

Deno.test("sameToken is false for a secret that is empty or not set, whatever is given", () => {
  for (const wanted of ["", undefined]) {
    for (const given of ["", "x", "undefined"]) assertEquals(sameToken(given, wanted), false);
  }
  // deno-lint-ignore no-explicit-any
  assertEquals([sameToken(undefined as any, "undefined"), sameToken(undefined as any, undefined)], [
    false,
    false,
  ]);
});

Deno.test("mount whose authorize does not decide in time refuses as busy, without a penalty", async () => {
  let decides = false;
  const errors: string[] = [];
  await using test = await mounted({
    limitLoopback: true,
    handshakeTimeoutMs: 500,
    onError: (error) => void errors.push(codeOf(error)),
    authorize: () => decides || new Promise<boolean>(() => {}),
  });
  const codes: string[] = [];
  const wire = test.joining("ann", { onRetry: ({ error }) => void codes.push(codeOf(error)) });
  await until("it was refused", () => codes.length > 0);
  decides = true;
  await settles("ann", wire.ready);
  assertEquals([codes[0], errors[0]], ["ERR_TOO_MANY_CONNECTIONS", "ERR_HANDSHAKE_TIMEOUT"]);
  assertEquals(test.server.stats().overall.handshakeTimeouts, 0);
});

Deno.test("mount whose authorize throws refuses as busy, without a penalty, and the client comes in once it works again", async () => {
  let broken = 2;
  const errors: string[] = [];
  await using test = await mounted({
    limitLoopback: true,
    onError: (error, { phase }) => void errors.push(`${phase} ${(error as Error).message}`),
    authorize: () => {
      if (broken-- > 0) throw new Error("The database is down");
      return true;
    },
  });
  const codes: string[] = [];
  const wire = test.joining("ann", { onRetry: ({ error }) => void codes.push(codeOf(error)) });
  await settles("the join", wire.ready);
  assertEquals(codes, ["ERR_TOO_MANY_CONNECTIONS", "ERR_TOO_MANY_CONNECTIONS"]);
  assertEquals(errors[0], "handshake The database is down");
  assertEquals(test.server.stats().overall.handshakeFailures, 0);
});

Deno.test("mount lets no peer without a token take over the name of another without a token", async () => {
  await using test = await mounted({ authorize: () => true });
  const first = await test.join("ann", { token: "" });
  const id = first.session?.id;
  const second = test.joining("ann", { token: "", reconnect: false });
  assertEquals(codeOf(await errorOf(second.ready)), "ERR_NAME_TAKEN");
  assertEquals(test.server.session("ann")?.id, id);
});

Deno.test("join refuses a WELCOME for another identity", async () => {
  await using listener = await listening(async (mux) => {
    const control = new FrameChannel((await mux.acceptStream())!);
    await control.read();
    await control.write({ session: "s", identity: "bob", streams: [] });
  });
  const wire = join({ port: listener.port, identity: "ann", reconnect: false, onError: () => {} });
  const error = await errorOf(wire.ready) as Error;
  wire.abort();
  assertEquals([codeOf(error), /"ann".*"bob"/.test(error.message)], ["ERR_WIRE_FRAME", true]);
  await wire.closed;
});

/** A server that speaks mux, and whatever `serve` says. */
async function listening(serve: (mux: MuxSession) => Promise<void>) {
  const listener = await listen({ hostname: "127.0.0.1", port: 0 });
  const running = (async () => {
    const incoming = await listener.accept();
    if (incoming === null) return;
    const mux = new MuxSession(await incoming.open({ signal }), { role: "server" });
    await serve(mux);
    await mux.closed;
  })();
  const { port } = listener.addr as { port: number };
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await running;
    },
  };
}

const STRANGERS: readonly [name: RegExp, bytes: Uint8Array][] = [
  [/a TLS handshake/, new Uint8Array([22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3, ...new Uint8Array(60)])],
  [/an HTTP request/, utf8("GET / HTTP/1.1\r\nHost: hub\r\n\r\n")],
  [/PROXY protocol/, utf8("PROXY TCP4 10.0.0.1 10.0.0.2 40000 7000\r\n")],
  [/text: "HELO/, utf8("HELO example\r\n")],
];

Deno.test("hub says of a peer that speaks another protocol what it speaks, and not that it left", async () => {
  const errors: string[] = [];
  await using test = new TestWire(
    hub({
      authorize,
      onError: (error) => void errors.push(`${codeOf(error)} ${(error as Error).message}`),
    }),
  );
  await test.server.ready;
  for (const [name, bytes] of STRANGERS) {
    // Errors of strangers are reported once a second.
    const before = errors.length;
    await until(`${name} is told`, async () => {
      const transport = await dial({ port: portOf(test) }, { signal });
      await transport.write(bytes);
      await transport.read().catch(() => null);
      transport.close();
      return errors.length > before;
    });
    assertEquals(
      [name.test(errors.at(-1)!), /^ERR_NOT_OUR_PROTOCOL/.test(errors.at(-1)!)],
      [true, true],
      errors.at(-1),
    );
  }
});

Deno.test("mount punishes no handshake that gave way to another one", async () => {
  await using test = await mounted({
    maxPending: 2,
    pendingDropStart: 1,
    limitLoopback: true,
    handshakeTimeoutMs: 60_000,
  });
  const silent = await Promise.all(
    Array.from({ length: 12 }, () => dial({ port: portOf(test) }, { signal })),
  );
  await until("some gave way", () => test.server.stats().overall.connectionsReplaced > 0);
  const { handshakeFailures, handshakeTimeouts } = test.server.stats().overall;
  assertEquals([handshakeFailures, handshakeTimeouts], [0, 0]);
  for (const transport of silent) transport.close();
});

Deno.test("mount that is closed while it begins to listen leaves no listener open", async () => {
  using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  for (let turns = 0; turns < 12; turns++) {
    const wire = mount({ insecureAnyone: true, port, onError: () => {} });
    for (let count = 0; count < turns; count++) await Promise.resolve();
    wire.abort();
    await settles("the end", wire.finished);
    // Free again: else this would be ERR_ADDRESS_IN_USE.
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  }
});

Deno.test("mount beyond loopback without TLS says so at warn; on loopback it says nothing", async () => {
  const warnings: string[] = [];
  const logger = {
    debug: () => {},
    info: () => {},
    error: () => {},
    warn: (text: string) => void warnings.push(text),
  };
  for (const hostname of ["127.0.0.1", "0.0.0.0"]) {
    const wire = mount({ insecureAnyone: true, hostname, logger });
    await wire.ready;
    await wire.shutdown();
    assertEquals(warnings.length, hostname === "0.0.0.0" ? 1 : 0);
  }
  assertEquals(/without TLS/.test(warnings[0]!), true);
});

Deno.test("open refuses meta that is wrong before anything is opened, and the server hears nothing", async () => {
  const errors: unknown[] = [];
  await using test = await mounted({
    handlers: { x: () => {} },
    onError: (error) => void errors.push(error),
  });
  const wire = await test.join("ann");
  const rows: [unknown, typeof TypeError | typeof RangeError][] = [
    [[1], TypeError],
    [{ n: 1n }, TypeError],
    [JSON.parse('{"__proto__":{"a":1}}'), TypeError],
    [{ text: "x".repeat(20_000) }, RangeError],
  ];
  const framesOut = wire.session!.stats().framesOut;
  for (const [meta, wanted] of rows) {
    await assertRejects(
      () => wire.open("x", { meta: meta as Record<string, unknown> }),
      wanted,
      '"meta"',
    );
    await assertRejects(
      () => test.server.open("nobody", "x", { meta: meta as Record<string, unknown> }),
      wanted,
    );
  }
  assertEquals([wire.session!.stats().framesOut, errors], [framesOut, []]);
});
