// parley cert ca, server and client: make an authority, and certificates that it signs.
import {
  type CertificateAuthority,
  createCa,
  createCertificate,
  type Credentials,
  describeCertificate,
  inspectCertificate,
  readCertificates,
  writeIdentity,
} from "../../../tls/mod.ts";
import type { Arguments } from "../../command/arguments.ts";
import type { Command } from "../../command/command.ts";
import type { Flag } from "../../command/syntax.ts";
import { UsageError, usageOf } from "../../command/usage.ts";
import { print } from "../../output/talk.ts";
import { certificateJson } from "./show.ts";
import { jsonText } from "../../output/json_text.ts";

const OUTPUT_FLAGS: readonly Flag[] = [
  { name: "force", about: "Replace files that are there already" },
  { name: "json", about: "Print the certificate as JSON" },
];

const SIGNING_FLAGS: readonly Flag[] = [
  {
    name: "ca",
    value: "FILE",
    about: "Certificate of the authority that signs, PEM (default: ca.pem)",
  },
  {
    name: "ca-key",
    value: "FILE",
    about: "Its private key, PEM (default: beside --ca, such as ca.key)",
  },
];

const MOST_DAYS = 3650;

/** `parley cert ca` */
export const caCommand: Command = {
  name: "ca",
  summary: "Make an authority that signs certificates",
  about:
    `Makes an authority with a new key: its certificate, for all programs that should trust it, and its
    private key, which only its owner can read. With that key an attacker can pass for any host.`,
  operands: "",
  flags: [
    { name: "name", value: "NAME", about: "Name of the authority (default: Parley CA)" },
    daysFlag("365"),
    outFlag("ca"),
    ...OUTPUT_FLAGS,
  ],
  examples: ['parley cert ca --name "Example CA"'],
  async run(args) {
    const name = args.text("name");
    const days = daysOf(args);
    return await write(
      args,
      "ca",
      await usage(createCa({ ...name === undefined ? {} : { name }, ...days })),
    );
  },
};

/** `parley cert server` */
export const serverCertCommand: Command = {
  name: "server",
  summary: "Make a server's certificate",
  about:
    `Makes a key and a certificate for a server that is reached by the names and addresses HOST, signed by an
    authority of "parley cert ca". A HOST such as *.example.com stands for one label.`,
  operands: "HOST...",
  flags: [
    { name: "client", about: "Let it be shown to other servers as well, as a client's" },
    daysFlag("90, or what the authority has left"),
    ...SIGNING_FLAGS,
    outFlag("server"),
    ...OUTPUT_FLAGS,
  ],
  examples: ["parley cert server localhost 127.0.0.1 ::1"],
  async run(args) {
    if (args.operands.length === 0) throw new UsageError("HOST is missing");
    const common = { hosts: args.operands, client: args.has("client"), ...daysOf(args) };
    const ca = await readAuthority(args);
    return await write(args, "server", await usage(createCertificate({ ca, ...common })));
  },
};

/** `parley cert client` */
export const clientCertCommand: Command = {
  name: "client",
  summary: "Make a client's certificate",
  about:
    `Makes a key and a certificate for a client that servers know as NAME, signed by an authority of "parley cert
    ca".`,
  operands: "NAME",
  flags: [
    daysFlag("90, or what the authority has left"),
    ...SIGNING_FLAGS,
    outFlag("client"),
    ...OUTPUT_FLAGS,
  ],
  examples: ["parley cert client agent-7 --out agent-7"],
  async run(args) {
    const name = args.operand("NAME");
    const days = daysOf(args);
    const ca = await readAuthority(args);
    return await write(
      args,
      "client",
      await usage(createCertificate({ ca, client: true, name, ...days })),
    );
  },
};

function daysFlag(byDefault: string): Flag {
  return { name: "days", value: "COUNT", about: `Days that it is valid (default: ${byDefault})` };
}

function outFlag(byDefault: string): Flag {
  const about = `Path of the files without their ends .pem and .key (default: ${byDefault})`;
  return { name: "out", value: "PATH", about };
}

function daysOf(args: Arguments): { readonly days?: number | undefined } {
  if (args.text("days") === undefined) return {};
  return { days: args.count("days", { byDefault: 0, least: 1, most: MOST_DAYS }) };
}

async function readAuthority(args: Arguments): Promise<CertificateAuthority> {
  const file = args.text("ca") ?? "ca.pem";
  const keyFile = args.text("ca-key") ?? `${file.replace(/\.(?:pem|crt|cer)$/, "")}.key`;
  const [cert, key] = [await read(file), await read(keyFile)];
  // Here, so that a bad file is no wrong usage.
  const { faults: [fault] } = await inspectCertificate(cert, { key });
  if (fault !== undefined) throw fault;
  return { cert, key };
}

async function read(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    // A message of its own: that the path should be right is a poor hint for a user without an authority.
    const hint = 'make an authority with "parley cert ca", or name one with --ca and --ca-key';
    throw new Error(`Cannot read ${JSON.stringify(file)}: there is no such file: ${hint}`, {
      cause: error,
    });
  }
}

/** What the library calls a wrong option was typed here. */
function usage<T>(made: Promise<T>): Promise<T> {
  return made.catch((error) => {
    throw usageOf(error);
  });
}

async function write(
  args: Arguments,
  byDefault: string,
  { cert, key }: Credentials,
): Promise<number> {
  const out = args.text("out") ?? byDefault;
  const [certFile, keyFile] = [`${out}.pem`, `${out}.key`];
  try {
    await writeIdentity({ cert, key, certFile, keyFile, replace: args.has("force") });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    const there = JSON.stringify(certFile) + " or " + JSON.stringify(keyFile);
    throw new Deno.errors.AlreadyExists(
      `Cannot write: ${there} is there already: use --force, or --out`,
    );
  }
  const [certificate] = readCertificates(cert);
  if (args.has("json") && certificate !== undefined) {
    print(jsonText({ ...certificateJson(certificate), certFile, keyFile }, 2));
  } else {
    print(`${describeCertificate(cert)}\nFiles:      ${certFile}, ${keyFile} (keep it secret)`);
  }
  return 0;
}
