// Tests of the sources that are believed: who is listed, and what cannot be listed.
import { assertEquals, assertThrows } from "@std/assert";
import { type ProxyProtocolOptions, ProxySources } from "../../../net/transport/proxy_sources.ts";

function sourcesOf(...sources: string[]): ProxySources {
  return ProxySources.from("Cannot listen", { sources }, "tcp")!;
}

function has(sources: ProxySources, hostname: string): boolean {
  return sources.has({ transport: "tcp", hostname, port: 1 });
}

Deno.test("ProxySources lists addresses exactly and networks by their prefix, and loopback only when it is named", () => {
  const cases: [string, string[], string[]][] = [
    ["10.0.0.5", ["10.0.0.5", "::ffff:10.0.0.5"], ["10.0.0.4", "127.0.0.1", "::1"]],
    ["10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["11.0.0.0", "127.0.0.1"]],
    ["127.0.0.0/8", ["127.0.0.1", "127.255.0.1"], ["::1"]],
    ["127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "::1"]],
    ["::1", ["::1"], ["::2", "127.0.0.1"]],
    ["2001:db8::5", ["2001:db8::5"], ["2001:db8::6"]],
    ["2001:db8::/127", ["2001:db8::1"], ["2001:db8::2"]],
    ["0.0.0.0/0", ["1.2.3.4"], ["2001:db8::1"]],
  ];
  for (const [listed, inside, outside] of cases) {
    for (const hostname of inside) {
      assertEquals(has(sourcesOf(listed), hostname), true, `${hostname} in ${listed}`);
    }
    for (const hostname of outside) {
      assertEquals(has(sourcesOf(listed), hostname), false, `${hostname} in ${listed}`);
    }
  }
  assertEquals(has(sourcesOf("10.0.0.5", "192.0.2.0/24"), "192.0.2.9"), true);
  assertEquals(has(sourcesOf("0.0.0.0/0"), "somewhere"), false);
});

Deno.test("ProxySources lists a unix socket as a whole, and nothing else on one", () => {
  const sources = ProxySources.from("Cannot listen", { sources: ["unix"] }, "unix")!;
  assertEquals(sources.has({ transport: "unix", path: "/run/app.sock" }), true);
  assertEquals(has(sources, "127.0.0.1"), false);
  assertEquals(sourcesOf("10.0.0.5").has({ transport: "unix", path: "/run/app.sock" }), false);
  assertThrows(
    () => ProxySources.from("Cannot listen", { sources: ["10.0.0.5"] }, "unix"),
    TypeError,
    `must be ["unix"] with a "path"`,
  );
});

Deno.test("ProxySources.from() refuses what it could not honour, and is nothing without the option", () => {
  assertEquals(ProxySources.from("Cannot listen", undefined, "tcp"), undefined);
  const bad: [unknown, new () => Error, string][] = [
    [true, TypeError, `"proxyProtocol" must be { sources }`],
    [null, TypeError, `"proxyProtocol" must be { sources }`],
    [{}, TypeError, `"proxyProtocol" must be { sources }`],
    [{ sources: "10.0.0.5" }, TypeError, `"proxyProtocol" must be { sources }`],
    [{ sources: [] }, RangeError, "must name a balancer"],
    [{ sources: [5] }, TypeError, "must hold texts"],
    [{ sources: ["unix"] }, RangeError, `current value is "unix"`],
    [{ sources: ["localhost"] }, RangeError, `current value is "localhost"`],
    [{ sources: ["10.0.0.0/33"] }, RangeError, `current value is "10.0.0.0/33"`],
    [{ sources: ["::/129"] }, RangeError, `current value is "::/129"`],
  ];
  for (const [options, kind, text] of bad) {
    assertThrows(
      () => ProxySources.from("Cannot listen", options as ProxyProtocolOptions, "tcp"),
      kind,
      text,
    );
  }
  assertThrows(
    () => ProxySources.from("Cannot listen", { sources: ["::1"] }, "tcp", "deno"),
    TypeError,
    `the "deno" TLS backend cannot read a header before its handshake`,
  );
});
