// Tuning of sockets: what is checked, what the kernel gets, and what is refused where nothing would
// come of it.
import { until } from "../../support/wait.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import type { SocketTuning, Transport } from "../../../net/transport/transport.ts";
import { checkKeepAlive, checkTuning } from "../../../net/transport/tuning.ts";
import { clientTls, sourceOf, testCerts } from "../../support/programs/certs.ts";

const { signal } = new AbortController();
const linux = Deno.build.os === "linux";

Deno.test("checkKeepAlive() takes a boolean or a time in whole seconds, and names what is wrong", () => {
  for (const fine of [true, false, { delayMs: 1000 }, { delayMs: 32_767_000 }]) {
    assertEquals(checkKeepAlive("Cannot listen", fine), fine);
  }
  const wrong: [unknown, ErrorConstructor, string][] = [
    [null, TypeError, `Cannot listen: "keepAlive" must be true or false, current value is null`],
    [5000, TypeError, `"keepAlive" must be true or false`],
    [{}, TypeError, `"keepAlive.delayMs" must be a number, current value is undefined`],
    [
      { delayMs: 999 },
      RangeError,
      `"keepAlive.delayMs" must be 1000 to 32767000, current value is 999`,
    ],
    [{ delayMs: 32_768_000 }, RangeError, `"keepAlive.delayMs" must be`],
    [
      { delayMs: 1500 },
      RangeError,
      `must be whole seconds, as the kernel counts them, current value is 1500`,
    ],
  ];
  for (const [value, kind, text] of wrong) {
    assertThrows(() => checkKeepAlive("Cannot listen", value), kind, text);
  }
});

Deno.test("checkTuning() refuses what no platform here can set, with the reason", () => {
  checkTuning("Cannot tune", { noDelay: true, keepAlive: undefined });
  for (const name of ["sendBufferBytes", "userTimeoutMs", "ciphers", "nodelay"]) {
    assertThrows(
      () => checkTuning("Cannot tune", { [name]: 1 } as SocketTuning),
      TypeError,
      `Cannot tune: "${name}" is no socket option that can be set: "noDelay" and "keepAlive" can`,
    );
  }
  assertThrows(
    () => checkTuning("Cannot tune", { noDelay: 1 as never }),
    TypeError,
    `"noDelay" must be`,
  );
});

/** Dials in a way, with the other end. */
async function meet(
  way: "Deno" | "node" | "TLS of node" | "TLS of Deno",
): Promise<[Transport, () => void]> {
  const certs = await testCerts();
  const backend = way === "TLS of Deno" ? "deno" : "node";
  const secure = way.startsWith("TLS");
  const listener = await listen({
    port: 0,
    ...secure && { tls: { credentials: sourceOf(certs.server) } },
  });
  const { port } = listener.addr as { port: number };
  const tls = secure ? clientTls(certs, { backend }) : undefined;
  const [near, far] = await Promise.all([
    dial({ hostname: "localhost", port, tls }, { signal, canReset: way === "node" }),
    listener.accept().then((incoming) => incoming!.open({ signal })),
  ]);
  return [near, () => {
    for (const end of [near, far, listener]) end.close();
  }];
}

/** The timer of a connection in the kernel: which it is, and seconds until it fires. */
async function timerOf(
  transport: Transport,
): Promise<{ readonly kind: string; readonly seconds: number }> {
  const { localAddr, remoteAddr } = transport;
  assert(localAddr.transport === "tcp" && remoteAddr.transport === "tcp");
  const [near, far] = [localAddr, remoteAddr].map(({ port }) =>
    `:${port.toString(16).toUpperCase().padStart(4, "0")}`
  );
  const rows =
    (await Deno.readTextFile("/proc/net/tcp") + await Deno.readTextFile("/proc/net/tcp6")).split(
      "\n",
    );
  // A port alone may be that of a connection that has ended as well.
  const row = rows.find((line) => {
    const [, local, remote] = line.trim().split(/\s+/);
    return local?.endsWith(near!) && remote?.endsWith(far!);
  });
  const [kind = "", ticks = ""] = row?.trim().split(/\s+/)[5]?.split(":") ?? [];
  return { kind, seconds: parseInt(ticks, 16) / 100 };
}

/** Seconds to the first probe of a connection, as the kernel has it; `null` when it will send none. */
async function secondsToProbe(transport: Transport): Promise<number | null> {
  // While bytes are not acknowledged yet, such as those of a handshake, the timer is that of their
  // repetition.
  let timer = await timerOf(transport);
  await until(
    "all bytes are acknowledged",
    async () => (timer = await timerOf(transport)).kind !== "01",
  );
  return timer.kind === "02" ? timer.seconds : null;
}

for (const way of ["node", "TLS of node"] as const) {
  Deno.test({
    name: `Transport.tune() over ${way} tells the kernel when to probe a silent peer`,
    ignore: !linux,
    async fn() {
      const [transport, done] = await meet(way);
      try {
        assertEquals(await secondsToProbe(transport), null);
        transport.tune!({ keepAlive: { delayMs: 300_000 } });
        const seconds = await secondsToProbe(transport);
        assert(seconds !== null && seconds > 100 && seconds <= 300, `${seconds}`);
        transport.tune!({ keepAlive: false });
        assertEquals(await secondsToProbe(transport), null);
        transport.tune!({ keepAlive: true });
        assert((await secondsToProbe(transport) ?? 1000) <= 60);
      } finally {
        done();
      }
    },
  });
}

Deno.test("Transport.tune() over a socket of Deno's refuses a time that Deno would not pass on", async () => {
  const [transport, done] = await meet("Deno");
  try {
    transport.tune!({ keepAlive: true, noDelay: true });
    assertThrows(
      () => transport.tune!({ keepAlive: { delayMs: 30_000 } }),
      TypeError,
      `"keepAlive.delayMs" cannot be set on this socket`,
    );
  } finally {
    done();
  }
  const [secure, end] = await meet("TLS of Deno");
  assertEquals(secure.tune, undefined);
  end();
});
