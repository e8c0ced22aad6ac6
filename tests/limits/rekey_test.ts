// Tests of Admission.rekey(): a connection through a balancer counts for the source that its header named.
import { assert, assertEquals } from "@std/assert";
import { Admission } from "../../limits/admission.ts";
import type { Ticket } from "../../limits/ticket.ts";
import type { AdmissionOptions } from "../../limits/admission_options.ts";
import { Penalties } from "../../limits/penalties.ts";
import { SourceExemptions } from "../../limits/source_exemptions.ts";

/** A door, and a balancer before it. */
function bench(options: AdmissionOptions, penalties = new Penalties()) {
  const admission = new Admission<never>(options, {
    penalties,
    exemptions: new SourceExemptions(),
  });
  const admit = (nowMs = 0): Ticket<never> => {
    const result = admission.admit(null, nowMs);
    assert(result.kind === "admitted");
    return result.ticket;
  };
  /** What becomes of a connection whose header names this source. */
  const come = (source: string, nowMs: number): string => {
    const ticket = admit(nowMs);
    const result = admission.rekey(ticket, source, nowMs);
    if (result.kind === "admitted") admission.established(ticket, nowMs);
    return result.kind === "refused" ? result.reason : result.kind;
  };
  return { admission, penalties, admit, come };
}

Deno.test("Admission.rekey() counts a pending connection for its real source, and releases it from there", () => {
  const { admission, admit } = bench({ maxConnectionsPerSource: 1 });
  const [first, second, other] = [admit(), admit(), admit()];
  assertEquals(admission.sources, 0);
  assertEquals(admission.rekey(first, "192.0.2.7", 1).kind, "admitted");
  assertEquals(first.source, "192.0.2.7");
  assertEquals(admission.rekey(second, "192.0.2.7", 1), {
    kind: "refused",
    reason: "too_many_from_source",
  });
  assertEquals([second.state, admission.connections], ["gone", 2]);
  assertEquals(admission.rekey(other, "192.0.2.8", 1).kind, "admitted");
  assertEquals([admission.sources, admission.refused.too_many_from_source], [2, 1]);
  admission.established(first, 2);
  admission.release(first);
  admission.release(other);
  assertEquals([admission.sources, admission.connections, admission.pending], [0, 0, 0]);
  // Too late: it is gone.
  admission.rekey(first, "192.0.2.9", 3);
  assertEquals([admission.sources, admission.connections], [0, 0]);
});

Deno.test("Admission.rekey() holds the real source to penalties and rates, and lets others in", () => {
  const { penalties, come } = bench({ connectionsPerSecondPerSource: 2 });
  for (let time = 0; time < 50; time++) penalties.punish("192.0.2.66", "failed_auth", 0);
  assertEquals(come("192.0.2.66", 1), "penalized");
  assertEquals([come("192.0.2.7", 1), come("192.0.2.7", 1)], ["admitted", "admitted"]);
  assertEquals(come("192.0.2.7", 1), "rate_limited");
  assertEquals(come("192.0.2.8", 1), "admitted");
});

Deno.test("Admission.rekey() keeps a source to its share of handshakes, others pass", () => {
  const { admission, admit, come } = bench({ maxPendingPerSource: 1 });
  assertEquals(admission.rekey(admit(), "192.0.2.7", 0).kind, "admitted");
  assert(come("192.0.2.7", 1) !== "admitted");
  assertEquals(come("192.0.2.8", 1), "admitted");
});
