// Exemptions: loopback and trusted networks, matched by prefix.
import { assertEquals, assertThrows } from "@std/assert";
import { SourceExemptions } from "../../limits/source_exemptions.ts";
import { sourceKey } from "../../limits/source_key.ts";

function has(exemptions: SourceExemptions, hostname: string): boolean {
  return exemptions.has(sourceKey({ transport: "tcp", hostname, port: 1 }));
}

Deno.test("SourceExemptions exempts loopback and what has no source, and nothing else, by default", () => {
  const exemptions = new SourceExemptions();
  assertEquals(exemptions.has(null), true);
  assertEquals(has(exemptions, "127.0.0.1"), true);
  assertEquals(has(exemptions, "::1"), true);
  assertEquals(has(exemptions, "192.0.2.7"), false);
  assertEquals(has(exemptions, "2001:db8::1"), false);
});

Deno.test("SourceExemptions holds loopback to the limits when asked to", () => {
  const exemptions = new SourceExemptions({ limitLoopback: true });
  assertEquals(has(exemptions, "127.0.0.1"), false);
  assertEquals(has(exemptions, "::1"), false);
  assertEquals(exemptions.has(null), true);
});

Deno.test("SourceExemptions matches networks by their first bits, just inside and just outside", () => {
  const cases: [string, string[], string[]][] = [
    ["10.0.0.5", ["10.0.0.5"], ["10.0.0.4", "10.0.0.6", "2001:db8::5"]],
    ["10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]],
    ["172.16.0.0/12", ["172.16.0.1", "172.31.255.255"], ["172.15.255.255", "172.32.0.0"]],
    ["192.0.2.128/25", ["192.0.2.128", "192.0.2.255"], ["192.0.2.127"]],
    ["192.0.2.77/24", ["192.0.2.1"], ["192.0.3.1"]],
    ["0.0.0.0/0", ["1.2.3.4", "255.255.255.255"], ["2001:db8::1"]],
    ["2001:db8::/32", ["2001:db8:ffff::1"], ["2001:db9::1", "10.0.0.1"]],
    ["2001:db8:1:2::7", ["2001:db8:1:2::9"], ["2001:db8:1:3::9"]],
    ["2001:db8:0:8000::/49", ["2001:db8:0:ffff::1"], ["2001:db8:0:7fff::1"]],
    ["::ffff:10.0.0.0/8", ["10.1.1.1"], ["11.1.1.1"]],
    ["::/0", ["2001:db8::1"], ["10.0.0.1"]],
    ["fe80::/10", ["fe80::1%eth0", "febf::2"], ["fec0::1"]],
  ];
  for (const [network, inside, outside] of cases) {
    const exemptions = new SourceExemptions({ exemptSources: [network] });
    for (const hostname of inside) {
      assertEquals(has(exemptions, hostname), true, `${hostname} in ${network}`);
    }
    for (const hostname of outside) {
      assertEquals(has(exemptions, hostname), false, `${hostname} in ${network}`);
    }
  }
});

Deno.test("SourceExemptions does not match a source that is no address", () => {
  assertEquals(new SourceExemptions({ exemptSources: ["0.0.0.0/0"] }).has("somewhere"), false);
});

Deno.test("SourceExemptions refuses networks that it could not honour", () => {
  const bad = [
    "",
    "localhost",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0.0/-1",
    "2001:db8::/65",
    "10/8",
  ];
  for (const network of bad) {
    assertThrows(
      () => new SourceExemptions({ exemptSources: [network] }),
      RangeError,
      `Cannot set limits: "exemptSources" must hold`,
      network,
    );
  }
});

Deno.test("SourceExemptions refuses options of wrong types", () => {
  // deno-lint-ignore no-explicit-any
  const wrong: any[] = [{ exemptSources: "10.0.0.0/8" }, { exemptSources: [8] }, {
    limitLoopback: 1,
  }];
  for (const options of wrong) {
    assertThrows(() => new SourceExemptions(options), TypeError, "Cannot set limits:");
  }
});
