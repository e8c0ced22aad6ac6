// Tests of ends of certificates: reported 14 and 3 days before and at the end, whatever is watched.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { serve } from "@parley/parley";
import { openMetrics } from "@parley/parley/stats";
import { mount } from "@parley/parley/wire";
import { TlsError } from "../../errors.ts";
import { isReady } from "../../stats/export/report.ts";
import { type CertificateEnd, ExpiryWatch } from "../../tls/expiry.ts";
import { createCa, createCertificate, loadTls } from "../../tls/mod.ts";
import { ManualWatchClock } from "../support/simulation/watch_clock.ts";
import { until } from "../support/wait.ts";

const dayMs = 86_400_000;
const hourMs = 3_600_000;

function watching(lifeMs: number, leftMs: number) {
  const clock = new ManualWatchClock({ nowMs: Date.UTC(2030, 0, 1), maxPlanned: 1 });
  const endOf = (life: number, left: number): CertificateEnd => ({
    subject: "CN=test",
    notBefore: new Date(clock.nowMs + left - life),
    notAfter: new Date(clock.nowMs + left),
  });
  let current = endOf(lifeMs, leftMs);
  const told: string[] = [];
  const errors: TlsError[] = [];
  const watch = new ExpiryWatch({
    current: () => current,
    clock,
    onEnding(error) {
      errors.push(error);
      const leftHours = Math.ceil((current.notAfter.getTime() - clock.nowMs) / hourMs);
      told.push(`${error.code} ${leftHours}`);
    },
  });
  const renew = (life: number, left: number) => {
    current = endOf(life, left);
    watch.renew();
  };
  return { clock, told, errors, watch, renew };
}

Deno.test("ExpiryWatch tells 14 days before the end, 3 days before and at the end, each once", async () => {
  const { clock, told, errors } = watching(365 * dayMs, 100 * dayMs);
  await clock.advance(86 * dayMs - 1);
  assertEquals(told, []);
  await clock.advance(1);
  assertEquals(told, ["ERR_CERT_EXPIRING 336"]);
  await clock.advance(11 * dayMs);
  assertEquals(told, ["ERR_CERT_EXPIRING 336", "ERR_CERT_EXPIRING 72"]);
  await clock.advance(3 * dayMs);
  assertEquals(told.length, 2);
  // A certificate is good in its last millisecond.
  await clock.advance(1);
  assertEquals(told.slice(2), ["ERR_CERT_EXPIRED 0"]);
  await clock.advance(1000 * dayMs);
  assertEquals([told.length, clock.isPlanned], [3, false]);
  assertStringIncludes(
    errors[0]!.message,
    'The certificate "CN=test" expires at 2030-04-11T00:00:00.000Z, in 14 days',
  );
});

Deno.test("ExpiryWatch takes no timer that fires at once for being too long, and sees a clock that was set", async () => {
  const { clock, told } = watching(9000 * dayMs, 9000 * dayMs);
  await clock.advance(100 * dayMs);
  assertEquals(told, []);
  assert(clock.longestMs <= dayMs);
  clock.nowMs += 8890 * dayMs;
  await clock.advance(dayMs);
  assertEquals(told.length, 1);
});

Deno.test("ExpiryWatch tells at once what is due when it begins, and only the last of it", async () => {
  for (
    const [leftMs, code] of [[2 * dayMs, "ERR_CERT_EXPIRING"], [
      -dayMs,
      "ERR_CERT_EXPIRED",
    ]] as const
  ) {
    const { clock, errors } = watching(365 * dayMs, leftMs);
    await clock.advance(0);
    assertEquals(errors.map((error) => error.code), [code]);
  }
});

Deno.test("ExpiryWatch says nothing of short-lived certificates that are renewed in time", async () => {
  const { clock, told, renew } = watching(dayMs, dayMs);
  for (let day = 0; day < 30; day++) {
    await clock.advance(dayMs / 2);
    renew(dayMs, dayMs);
  }
  assertEquals(told, []);
  await clock.advance(dayMs + 1);
  assertEquals(told, ["ERR_CERT_EXPIRING 8", "ERR_CERT_EXPIRING 3", "ERR_CERT_EXPIRED 0"]);
});

Deno.test("ExpiryWatch begins anew with a new certificate, and ends with close()", async () => {
  const { clock, told, watch, renew } = watching(365 * dayMs, 10 * dayMs);
  await clock.advance(dayMs);
  assertEquals(told.length, 1);
  renew(365 * dayMs, 365 * dayMs);
  await clock.advance(100 * dayMs);
  assertEquals(told.length, 1);
  renew(365 * dayMs, 10 * dayMs);
  await clock.advance(0);
  assertEquals(told.length, 2);
  watch.close();
  watch.renew();
  assertEquals(clock.isPlanned, false);
});

Deno.test("serve() and mount() tell onError, the metrics and the page that a certificate ends soon", async () => {
  const now = new Date(Date.now() - 20 * dayMs);
  const ca = await createCa({ now });
  const identity = await createCertificate({ ca, hosts: ["localhost"], days: 21, now });
  const told: string[] = [];
  const onError = (error: unknown, { phase }: { phase: string }) =>
    void told.push(`${phase} ${error instanceof TlsError ? error.code : error}`);
  await using server = serve({ tls: identity, onError }, () => {});
  await using hub = mount({ insecureAnyone: true, tls: identity, onError });
  await Promise.all([server.ready, hub.ready]);
  await until("both have told", () => told.length === 2);
  assertEquals(told, Array(2).fill("certificates ERR_CERT_EXPIRING"));
  for (const stats of [server.stats(), hub.stats()]) {
    assert(stats.certificate!.remainingMs > 0 && stats.certificate!.remainingMs < dayMs);
    assert(/^parley_certificate_remaining_seconds\{.*\} \d+/m.test(openMetrics(stats)));
    assertEquals(isReady(stats), true);
    assertEquals(isReady({ ...stats, certificate: { notAfterMs: 1, remainingMs: -1 } }), false);
  }
});

Deno.test("serve() without a function for errors logs at warn that a certificate ends soon", async () => {
  const now = new Date(Date.now() - 20 * dayMs);
  const ca = await createCa({ now });
  using tls = await loadTls({
    ...await createCertificate({ ca, hosts: ["localhost"], days: 300 }),
    onError: () => {},
  });
  assert(tls.notAfter > new Date());
  const identity = await createCertificate({ ca, hosts: ["localhost"], days: 21, now });
  const lines: string[] = [];
  const silent = () => {};
  const logger = {
    debug: silent,
    info: silent,
    warn: (text: string) => void lines.push(text),
    error: silent,
  };
  await using server = serve({ tls: identity, logger }, () => {});
  await server.ready;
  await until("it is logged", () => lines.length > 0);
  assertStringIncludes(lines[0]!, 'The certificate "CN=localhost" expires at');
});
