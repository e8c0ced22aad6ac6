// Refusals: each names the limit, what it is set to, and what to change.
import { assert, assertEquals } from "@std/assert";
import { resolveAdmission } from "../../limits/admission_options.ts";
import { noRefusals, refusalError, type RefusalReason } from "../../limits/refusal.ts";

const LIMITS = resolveAdmission({
  maxConnections: 50,
  maxPending: 40,
  maxPendingPerSource: 8,
  maxConnectionsPerSource: 5,
  connectionsPerSecondPerSource: 1,
});

Deno.test("refusalError() names the option of each limit, what it is set to, and the source where it is one of a source", () => {
  const cases: [RefusalReason, string, string[]][] = [
    ["too_many_connections", "ERR_TOO_MANY_CONNECTIONS", ['"maxConnections"', "50", "raise it"]],
    ["too_many_pending", "ERR_TOO_MANY_CONNECTIONS", ['"maxPending"', "40"]],
    ["early_drop", "ERR_TOO_MANY_CONNECTIONS", ['"maxPending"', "40"]],
    ["too_many_from_source", "ERR_TOO_MANY_CONNECTIONS", [
      '"maxConnectionsPerSource"',
      "5",
      "192.0.2.7",
    ]],
    ["too_many_pending_from_source", "ERR_TOO_MANY_CONNECTIONS", [
      '"maxPendingPerSource"',
      "8",
      "192.0.2.7",
    ]],
    ["rate_limited", "ERR_RATE_LIMITED", [
      '"connectionsPerSecondPerSource"',
      "192.0.2.7",
      '"exemptSources"',
    ]],
    ["penalized", "ERR_TOO_MANY_CONNECTIONS", [
      "handshakes of 192.0.2.7 failed",
      '"exemptSources"',
    ]],
    ["draining", "ERR_TOO_MANY_CONNECTIONS", ["draining"]],
  ];
  assertEquals(cases.length, Object.keys(noRefusals()).length, "every reason is tried");
  for (const [reason, code, parts] of cases) {
    const error = refusalError(reason, LIMITS, "192.0.2.7");
    assertEquals(error.code, code);
    for (const part of parts) {
      assert(error.message.includes(part), `${error.message} lacks ${part}`);
    }
  }
});
