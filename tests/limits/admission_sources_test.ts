// Admission by source: penalties, addresses from a balancer, listed networks, and many clients
// behind one address.
import { assert, assertEquals } from "@std/assert";
import { Admission, type RefusalReason } from "../../limits/admission.ts";
import type { AdmitResult } from "../../limits/ticket.ts";
import type { Ticket } from "../../limits/ticket.ts";
import type { AdmissionOptions } from "../../limits/admission_options.ts";
import { Penalties } from "../../limits/penalties.ts";
import { SourceExemptions } from "../../limits/source_exemptions.ts";

const SOURCE = "192.0.2.7";

/** Early drop never strikes. */
const lucky = () => 0.999999;

function make(options: AdmissionOptions = {}): Admission<string> {
  return new Admission<string>(options, { random: lucky });
}

function admit(admission: Admission<string>, source: string | null, nowMs: number): Ticket<string> {
  const result = admission.admit(source, nowMs);
  assert(result.kind === "admitted", JSON.stringify(result));
  return result.ticket;
}

function refused(reason: RefusalReason): AdmitResult<string> {
  return { kind: "refused", reason };
}

Deno.test("Admission cuts and refuses none of an office that comes back all at once behind one address", () => {
  const admission = make({ maxPendingPerSource: 16, stallMs: 50 });
  const underway = Array.from({ length: 16 }, () => admit(admission, SOURCE, 0));
  // Two hundred clients, a handshake every 4 ms.
  let nowMs = 0;
  for (let number = 16; number < 200; number++) {
    assertEquals(admission.admit(SOURCE, nowMs).kind, "hold");
    admission.release(admit(admission, "192.0.2.8", nowMs));
    nowMs += 4;
    assert(admission.established(underway.shift()!, nowMs));
    underway.push(admit(admission, SOURCE, nowMs));
  }
  assertEquals([admission.replaced, admission.refused.too_many_pending_from_source], [0, 0]);
});

Deno.test("Admission.rekey() moves a pending connection to the source that a balancer told", () => {
  const admission = make({ maxConnectionsPerSource: 2 });
  const [first, second, third] = [1, 2, 3].map(() => admit(admission, null, 0));
  assertEquals(admission.rekey(first!, SOURCE, 1), {
    kind: "admitted",
    ticket: first!,
    replaced: null,
  });
  assertEquals([first!.source, admission.sources], [SOURCE, 1]);
  assertEquals(admission.rekey(second!, SOURCE, 1).kind, "admitted");
  assertEquals(admission.rekey(third!, SOURCE, 1), refused("too_many_from_source"));
  assertEquals([third!.state, admission.connections], ["gone", 2]);
  admission.established(first!, 2);
  for (const ticket of [first!, second!]) admission.release(ticket);
  assertEquals([admission.connections, admission.pending, admission.sources], [0, 0, 0]);
});

Deno.test("Admission.rekey() asks penalties, rates and the cap of handshakes of the source that was told", () => {
  const penalties = new Penalties({ graceMs: 0 });
  penalties.punish("192.0.2.9", "failed_auth", 0);
  const admission = new Admission<string>({
    maxPendingPerSource: 1,
    connectionsPerSecondPerSource: 1,
  }, {
    penalties,
    random: lucky,
  });
  assertEquals(admission.rekey(admit(admission, null, 0), "192.0.2.9", 1), refused("penalized"));
  assertEquals(admission.rekey(admit(admission, null, 0), SOURCE, 1).kind, "admitted");
  assertEquals(admission.rekey(admit(admission, null, 0), SOURCE, 2), refused("rate_limited"));
  const second = admit(admission, null, 1000);
  assertEquals(
    admission.rekey(second, SOURCE, 1020).kind,
    "admitted",
    "the one before has stalled",
  );
  assertEquals(admission.replaced, 1);
  const third = admit(admission, null, 2030);
  admission.established(second, 2030);
  assertEquals(admission.rekey(third, SOURCE, 2031).kind, "admitted");
  const fourth = admit(admission, null, 2500);
  assertEquals(admission.rekey(fourth, SOURCE, 2529), { kind: "refused", reason: "rate_limited" });
});

Deno.test("Admission holds no limit per source against a network that was listed", () => {
  const exemptions = new SourceExemptions({ exemptSources: ["10.0.0.0/8"] });
  const admission = new Admission<string>({
    maxPendingPerSource: 1,
    maxConnectionsPerSource: 1,
    connectionsPerSecondPerSource: 0.001,
  }, { exemptions, random: lucky });
  for (let count = 0; count < 50; count++) admit(admission, "10.0.0.5", 0);
  admit(admission, "11.0.0.5", 0);
  assertEquals(admission.admit("11.0.0.5", 0), refused("rate_limited"));
});

Deno.test("Admission refuses a source that is under a penalty, and no other", () => {
  const penalties = new Penalties();
  const admission = new Admission({}, { penalties, random: lucky });
  for (let count = 0; count < 4; count++) penalties.punish(SOURCE, "failed_auth", 0);
  assertEquals(admission.admit(SOURCE, 19_999), { kind: "refused", reason: "penalized" });
  assertEquals(admission.admit("192.0.2.8", 19_999).kind, "admitted");
  assertEquals(admission.admit(SOURCE, 20_000).kind, "admitted");
});

Deno.test("Admission lets others in behind an address with open connections, whatever one of them does", () => {
  const penalties = new Penalties();
  const admission = new Admission<string>({}, { penalties, random: lucky });
  const open = admit(admission, SOURCE, 0);
  admission.established(open, 0);
  for (let count = 0; count < 100; count++) penalties.punish(SOURCE, "handshake_timeout", count);
  assertEquals(admission.admit(SOURCE, 100).kind, "admitted");
  admission.release(open);
});
