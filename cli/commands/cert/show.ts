// parley cert show: what a certificate says, in plain words, and whether it would be trusted.
import {
  type CertificateReport,
  type CertificateSummary,
  daysLeft,
  describeCertificate,
  fetchCertificates,
  inspectCertificate,
} from "../../../tls/mod.ts";
import { parseAddress, type TypedAddress } from "../../command/address.ts";
import type { Arguments } from "../../command/arguments.ts";
import type { Command } from "../../command/command.ts";
import { UsageError } from "../../command/usage.ts";
import { hintFor } from "../../output/hints.ts";
import { StopSignals } from "../../process/stop.ts";
import { print, say } from "../../output/talk.ts";
import { escapeForTerminal } from "../../../log/text.ts";
import { jsonText } from "../../output/json_text.ts";

/** `parley cert show` */
export const showCommand: Command = {
  name: "show",
  summary: "Show what a certificate says, and what is wrong with it",
  about:
    `Shows the certificates in a file, or those of a server at an address, without trusting them. The first one is
    checked against the options.

    Exit code 1 when it has expired, or does not fit.`,
  operands: "FILE|ADDRESS",
  flags: [
    { name: "key", value: "FILE", about: "Private key that should be its own, PEM" },
    { name: "ca", value: "FILE", about: "Authorities, one of which should have signed it, PEM" },
    {
      name: "server-name",
      value: "NAME",
      about: "Name that it should hold (default for a server: its host)",
    },
    { name: "timeout", value: "TIME", about: "Longest time to ask a server (default: 10s)" },
    { name: "json", about: "Print the certificate as JSON" },
  ],
  examples: [
    "parley cert show server.pem --key server.key --ca ca.pem",
    "parley cert show example.com:443",
  ],
  run: runShow,
};

async function runShow(args: Arguments): Promise<number> {
  const target = args.operand("FILE or ADDRESS");
  const timeoutMs = args.ms("timeout", { byDefault: 10_000, least: 1, most: 3600e3 });
  const [keyFile, caFile] = [args.text("key"), args.text("ca")];
  const source = await find(target);
  using stop = new StopSignals();
  const [key, ca] = await Promise.all([keyFile, caFile].map(read));
  const shown = "file" in source
    ? { pem: await Deno.readTextFile(source.file), protocol: null }
    : await fetchCertificates({
      ...source.address,
      ...args.text("server-name") === undefined ? {} : { serverName: args.text("server-name") },
      timeoutMs,
      signal: stop.signal,
    });
  const hostname = args.text("server-name") ?? hostOf(source);
  const report = await inspectCertificate(shown.pem, {
    ...key === undefined ? {} : { key },
    ...ca === undefined ? {} : { ca },
    ...hostname === undefined ? {} : { hostname },
  });
  if (args.has("json")) print(jsonText(reportJson(report, shown.protocol), 2));
  else {
    // Another side chose the names in it.
    const text = describe(report, { protocol: shown.protocol, keyFile, caFile, hostname });
    print(escapeForTerminal(text, true));
  }
  for (const fault of report.faults) {
    say(escapeForTerminal(`parley cert show: ${fault.message}`, true));
    const hint = hintFor(fault);
    // The hint would send the user to this very command.
    if (hint !== null && !hint.includes("parley cert show")) say(`Hint: ${hint}`);
  }
  return report.faults.length === 0 ? 0 : 1;
}

type Source = { readonly file: string } | { readonly address: TypedAddress };

/** A file if there is one of that name, else an address. */
async function find(target: string): Promise<Source> {
  try {
    await Deno.stat(target);
    return { file: target };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  try {
    return { address: parseAddress(target) };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new Deno.errors.NotFound(
      `There is no file ${JSON.stringify(target)}, and it is no address`,
    );
  }
}

function hostOf(source: Source): string | undefined {
  return "address" in source && "hostname" in source.address ? source.address.hostname : undefined;
}

async function read(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : await Deno.readTextFile(file);
}

interface Described {
  readonly protocol: string | null;
  readonly keyFile: string | undefined;
  readonly caFile: string | undefined;
  readonly hostname: string | undefined;
}

function describe(
  report: CertificateReport,
  { protocol, keyFile, caFile, hostname }: Described,
): string {
  const [own, ...others] = report.certificates;
  const lines = [describeCertificate(own.raw)];
  if (report.keyMatches !== null) {
    lines.push(`Own key:    ${report.keyMatches ? "yes" : "NO"}, by ${keyFile}`);
  }
  if (report.signed !== null) {
    lines.push(`Signed:     ${report.signed === "no" ? "NO" : report.signed}, by ${caFile}`);
  }
  if (report.forHost !== null) {
    lines.push(`For host:   ${report.forHost ? "yes" : "NO"}, ${hostname}`);
  }
  if (protocol !== null) lines.push(`Protocol:   ${protocol}`);
  const rest = others.map((certificate, i) => {
    const title = `Certificate ${i + 2} of ${others.length + 1}:`;
    return `\n${title}\n${describeCertificate(certificate.raw)}`;
  });
  return [...lines, ...rest].join("\n");
}

function reportJson(report: CertificateReport, protocol: string | null): Record<string, unknown> {
  const [own, ...others] = report.certificates;
  const { keyMatches, signed, forHost, faults } = report;
  return {
    ...certificateJson(own),
    keyMatches,
    signed,
    forHost,
    protocol,
    faults: faults.map(({ code, message }) => ({ code, message })),
    others: others.map(certificateJson),
  };
}

/** A certificate as a JSON object. */
export function certificateJson(certificate: CertificateSummary): Record<string, unknown> {
  const { subject, subjectAltNames, issuer, notBefore, notAfter, isCa, extendedKeyUsage } =
    certificate;
  const { keyType, serialNumber, fingerprint256 } = certificate;
  return {
    subject,
    names: subjectAltNames,
    issuer,
    notBefore,
    notAfter,
    daysLeft: daysLeft(notAfter, new Date()),
    isCa,
    uses: extendedKeyUsage ?? null,
    keyType,
    serialNumber,
    fingerprint256,
  };
}
