// Tests of the options that listening sides have in common.
import { assertEquals, assertThrows } from "@std/assert";
import { type ListenGiven, resolveListen } from "../../accept/listen_options.ts";

Deno.test("resolveListen() fills in defaults", () => {
  const { plan, handshakeTimeoutMs } = resolveListen("Cannot listen", {});
  assertEquals(plan.where, { hostname: undefined, port: 0, reusePort: undefined });
  const { noDelay, keepAlive, backlog, proxySources } = plan.listenOptions;
  assertEquals([noDelay, keepAlive, backlog, proxySources], [true, false, undefined, undefined]);
  assertEquals([plan.tls, handshakeTimeoutMs], [undefined, 5000]);
  assertEquals(resolveListen("Cannot listen", { path: "/run/a" }).plan.where, {
    path: "/run/a",
    mode: 0o600,
  });
});

Deno.test("resolveListen() checks each option, and names what was tried", () => {
  const cases: [ListenGiven, string][] = [
    [{ path: "" }, 'Cannot mount: "path" must be the path of a unix socket, got ""'],
    [
      { path: "/run/a", port: 1 },
      'Cannot mount: "path" excludes "hostname", "port" and "reusePort"',
    ],
    [{ mode: 0o600 }, 'Cannot mount: "mode" needs a "path": a TCP port has no permissions'],
    [
      { path: "/run/a", mode: 0o1000 },
      'Cannot mount: "mode" must be 0 to 511, current value is 512',
    ],
    [{ hostname: "" }, 'Cannot mount: "hostname" must be a name or an address, got ""'],
    [{ port: 65536 }, 'Cannot mount: "port" must be 0 to 65535, current value is 65536'],
    [{ port: -1 }, 'Cannot mount: "port" must be 0 to 65535, current value is -1'],
    [{ signal: {} as AbortSignal }, 'Cannot mount: "signal" must be an AbortSignal, got object'],
    [{ tls: null as never }, 'Cannot mount: "tls" must be an object, got null'],
    [{ noDelay: 1 as never }, '"noDelay" must be true or false'],
    [{ keepAlive: { delayMs: 5000 } }, '"keepAlive.delayMs" cannot be set on this socket'],
  ];
  for (const [options, text] of cases) {
    assertThrows(() => resolveListen("Cannot mount", options), Error, text);
  }
  for (const port of [0, 65535]) resolveListen("Cannot mount", { port });
});
