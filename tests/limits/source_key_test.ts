// Source keys: every textual form of an address counts as the source that it is.
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseIpAddress } from "../../net/address/ip_address.ts";
import { isLoopbackSource, sourceKey } from "../../limits/source_key.ts";

function keyOf(hostname: string): string | null {
  return sourceKey({ transport: "tcp", hostname, port: 1 });
}

Deno.test("sourceKey() names IPv4 addresses by themselves and IPv6 addresses by their /64", () => {
  const cases: [string, string][] = [
    ["192.0.2.7", "192.0.2.7"],
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002:0003:0004:0005:0006", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:db8::1:2:3:4", "2001:db8::/64"],
    ["2001:db8::", "2001:db8::/64"],
    ["2001:db8:0:1::5", "2001:db8:0:1::/64"],
    ["[2001:db8:1:2::9]", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::192.0.2.1", "2001:db8:1:2::/64"],
    // A /64 of link-local addresses is a whole cable, and every cable has it.
    ["fe80::1", "fe80:0:0:0:0:0:0:1"],
    ["fe80::1%eth0", "fe80:0:0:0:0:0:0:1%eth0"],
    ["fe80::2%12", "fe80:0:0:0:0:0:0:2%12"],
    ["[FE80::2%eth0]", "fe80:0:0:0:0:0:0:2%eth0"],
    ["febf::1%eth0", "febf:0:0:0:0:0:0:1%eth0"],
    ["fec0::1", "fec0::/64"],
    ["::1", "::1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["::", "::/64"],
    ["::2", "::/64"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["::FFFF:c000:0207", "192.0.2.7"],
    ["0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7%lo", "192.0.2.7"],
    ["64:ff9b::192.0.2.7", "192.0.2.7"],
    ["64:ff9b::c000:207", "192.0.2.7"],
    ["64:ff9b::1:c000:207", "64:ff9b::/64"],
    ["64:ff9b:1::192.0.2.7", "64:ff9b:1::/64"],
    ["::fffe:192.0.2.7", "::/64"],
    ["::192.0.2.7", "::/64"],
  ];
  for (const [hostname, key] of cases) assertEquals(keyOf(hostname), key, hostname);
});

Deno.test("sourceKey() gives null for unix sockets and memory: all their peers look the same", () => {
  assertEquals(sourceKey({ transport: "unix", path: "/run/app.sock" }), null);
  assertEquals(sourceKey({ transport: "memory", name: "memory" }), null);
});

Deno.test("sourceKey() keeps a name that is no address as a key, and bounds its length", () => {
  assertEquals(keyOf("somewhere"), "somewhere");
  assertEquals(keyOf("x".repeat(5000))?.length, 128);
});

Deno.test("parseIpAddress() gives null for what is no address", () => {
  const bad = [
    "",
    ".",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.-4",
    "1.2.3.4 ",
    "1.2.3.",
    "a.b.c.d",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "12345::",
    "g::",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "::1.2.3",
    "::01.2.3.4",
    "1:2:3:4:5:6:7:1.2.3.4",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    "[::1",
    "%eth0",
    "x".repeat(200),
    ":".repeat(128),
  ];
  for (const text of bad) assertEquals(parseIpAddress(text), null, JSON.stringify(text));
});

Deno.test("parseIpAddress() reads the same groups from every way of writing them", () => {
  const groupsOf = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  });
  fc.assert(fc.property(groupsOf, fc.integer({ min: 0, max: 7 }), (groups, from) => {
    // No IPv4 inside: that has its own cases.
    groups[0] = 0x2001;
    const expected = { family: 6 as const, groups };
    assertEquals(parseIpAddress(groups.map((group) => group.toString(16)).join(":")), expected);
    assertEquals(
      parseIpAddress(
        groups.map((group) => group.toString(16).toUpperCase().padStart(4, "0")).join(":"),
      ),
      expected,
    );
    let to = from;
    while (to < 8 && groups[to] === 0) to++;
    if (to > from) {
      const head = groups.slice(0, from).map((group) => group.toString(16)).join(":");
      const tail = groups.slice(to).map((group) => group.toString(16)).join(":");
      assertEquals(parseIpAddress(`${head}::${tail}`), expected);
    }
  }));
});

Deno.test("parseIpAddress() never throws, whatever the text", () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(..."0123456789abcf:.%[]/") }), (text) => {
    parseIpAddress(text);
  }));
});

Deno.test("isLoopbackSource() knows 127.0.0.0/8 and ::1, and nothing that looks like them", () => {
  for (const hostname of ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"]) {
    assertEquals(isLoopbackSource(keyOf(hostname) ?? ""), true, hostname);
  }
  for (
    const hostname of [
      "128.0.0.1",
      "12.7.0.1",
      "::2",
      "1::1",
      "127.example.com",
      "127.0.0.1.example.com",
    ]
  ) {
    assertEquals(isLoopbackSource(keyOf(hostname) ?? ""), false, hostname);
  }
});
