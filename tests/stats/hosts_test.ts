// Tests of HostCheck: by which names the statistics page may be asked.
import { assert } from "@std/assert";
import { HostCheck } from "../../stats/page/hosts.ts";

Deno.test("HostCheck knows its own names and no others, whatever is made of them", () => {
  const check = new HostCheck("stats.example", ["Other.example:9100", "[fd00::1]"]);
  const at = "192.0.2.7";
  for (
    const host of [
      "stats.example",
      "STATS.example:1",
      "other.example:9100",
      "192.0.2.7:80",
      "[FD00::1]:8",
    ]
  ) {
    assert(check.allows(host, at), host);
  }
  for (
    const host of [
      undefined,
      "",
      "other.example",
      "localhost",
      "127.0.0.1",
      "stats.example:x",
      "a b",
      "[::1]",
    ]
  ) {
    assert(!check.allows(host, at), host);
  }
  assert(check.allows("localhost", "::1") && check.allows("[::1]:80", "127.0.0.1"));
  assert(new HostCheck("0.0.0.0", []).allows("192.0.2.7:80", "::ffff:192.0.2.7"));
});
