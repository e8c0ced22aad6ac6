// Checks TLS options before anything is read: it refuses options that contradict each other, or
// would be ignored.
import { normalizeHost } from "./handshake/host.ts";
import { parsePem } from "./certificate/pem.ts";
import type {
  ClientTlsOptions,
  ServerTlsOptions,
  TlsBackend,
  TlsCommonOptions,
  TlsVersion,
} from "./handshake/options.ts";

/** {@linkcode TlsCommonOptions} with every default filled in, checked. */
export interface ResolvedCommonTls {
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  readonly alpnProtocols: readonly string[];
  readonly backend: TlsBackend;
}

/** Where the texts of an identity come from. */
export type IdentityOrigin =
  | { readonly kind: "text"; readonly cert: string; readonly key: string }
  | {
    readonly kind: "files";
    readonly certFile: string;
    readonly keyFile: string;
    readonly watch: boolean;
  };

/** An identity as it may come from plain JavaScript. */
export interface LooseIdentity {
  readonly cert?: unknown;
  readonly key?: unknown;
  readonly certFile?: unknown;
  readonly keyFile?: unknown;
  readonly watch?: unknown;
}

const cannot = "Cannot use the TLS options as";
const useAnother = `use "auto" or "node"`;
const versions: readonly TlsVersion[] = ["TLSv1.2", "TLSv1.3"];
const backends: readonly TlsBackend[] = ["auto", "deno", "node"];

/**
 * Checks the options that both sides can set.
 *
 * @throws {TypeError} for a value of the wrong kind, or one that the chosen backend would ignore
 * @throws {RangeError} when the lowest version is above the highest
 */
export function resolveCommonTls(options: TlsCommonOptions): ResolvedCommonTls {
  const minVersion = oneOf(options.minVersion ?? "TLSv1.2", versions, "minVersion");
  const maxVersion = oneOf(options.maxVersion ?? "TLSv1.3", versions, "maxVersion");
  const backend = oneOf(options.backend ?? "auto", backends, "backend");
  if (minVersion > maxVersion) {
    throw new RangeError(
      `${cannot} "minVersion" must not be above "maxVersion": ${minVersion} is above ${maxVersion}`,
    );
  }
  if (backend === "deno" && (minVersion !== "TLSv1.2" || maxVersion !== "TLSv1.3")) {
    throw new TypeError(
      `${cannot} the "deno" backend always speaks TLSv1.2 and TLSv1.3: ${useAnother}`,
    );
  }
  const alpnProtocols = options.alpnProtocols ?? [];
  if (!Array.isArray(alpnProtocols)) {
    throw new TypeError(`${cannot} "alpnProtocols" must be an array of strings`);
  }
  for (const protocol of alpnProtocols) {
    // One byte holds the length on the wire (RFC 7301, section 3.1).
    if (typeof protocol === "string" && /^[\x21-\x7e]{1,255}$/.test(protocol)) continue;
    throw new TypeError(
      `${cannot} each of "alpnProtocols" must be 1 to 255 visible ASCII characters`,
    );
  }
  return { minVersion, maxVersion, alpnProtocols: [...alpnProtocols], backend };
}

/**
 * Refuses options that the chosen backend of a server would ignore.
 *
 * @throws {TypeError} when the native backend is asked for what only node:tls does
 */
export function checkServerBackend(options: ServerTlsOptions): void {
  if (options.backend !== "deno") return;
  const { clientCa, clientCaFile, pin, sni } = options;
  const lacking = clientCa !== undefined || clientCaFile !== undefined
    ? `cannot ask for client certificates ("clientCa")`
    : pin !== undefined
    ? `cannot ask for client certificates ("pin")`
    : sni !== undefined
    ? `knows one certificate only ("sni")`
    : (options as LooseIdentity).watch === true
    ? `cannot change certificates while it listens ("watch")`
    : undefined;
  if (lacking !== undefined) {
    throw new TypeError(`${cannot} the "deno" backend ${lacking}: ${useAnother}`);
  }
}

/**
 * Tells where an identity comes from; `undefined` when there is none.
 *
 * @param path What stands before the option's name in messages, such as `sni["a.example"].`.
 * @throws {TypeError} when both text and files are given, or half of either
 */
export function resolveIdentity(identity: LooseIdentity, path: string): IdentityOrigin | undefined {
  const { cert, key, certFile, keyFile, watch } = identity;
  const name = (option: string) => `"${path}${option}"`;
  for (const [option, value] of Object.entries({ cert, key, certFile, keyFile })) {
    if (value !== undefined && typeof value !== "string") {
      throw new TypeError(
        `${cannot} ${name(option)} must be a string: it is of type ${typeof value}`,
      );
    }
  }
  const text = cert !== undefined || key !== undefined;
  const files = certFile !== undefined || keyFile !== undefined;
  if (text && files) {
    throw new TypeError(
      `${cannot} ${name("cert")} and ${name("key")} exclude ${name("certFile")} and ${
        name("keyFile")
      }`,
    );
  }
  if (watch !== undefined && typeof watch !== "boolean") {
    throw new TypeError(
      `${cannot} ${name("watch")} must be a boolean: it is of type ${typeof watch}`,
    );
  }
  if (watch && !files) {
    throw new TypeError(
      `${cannot} ${name("watch")} needs ${name("certFile")} and ${name("keyFile")}`,
    );
  }
  if (typeof cert === "string" && typeof key === "string") {
    refusePath(cert, name("cert"), name("certFile"));
    refusePath(key, name("key"), name("keyFile"));
    return { kind: "text", cert, key };
  }
  if (typeof certFile === "string" && typeof keyFile === "string") {
    return { kind: "files", certFile, keyFile, watch: watch === true };
  }
  if (text) {
    throw new TypeError(lacksHalf(name, cert === undefined ? ["key", "cert"] : ["cert", "key"]));
  }
  if (files) {
    throw new TypeError(
      lacksHalf(name, certFile === undefined ? ["keyFile", "certFile"] : ["certFile", "keyFile"]),
    );
  }
  return undefined;
}

/** As {@linkcode resolveIdentity}, for a server, which must have one. */
export function requireIdentity(identity: LooseIdentity, path: string): IdentityOrigin {
  if (identity === null || typeof identity !== "object") {
    throw new TypeError(`${cannot} they must be an object`);
  }
  const origin = resolveIdentity(identity, path);
  if (origin !== undefined) return origin;
  throw new TypeError(
    `${cannot} a server needs a certificate: give "${path}cert" and "${path}key", or "${path}certFile" and "${path}keyFile"`,
  );
}

/**
 * Returns a server name (SNI) in the form in which it is looked up: lower case, with `*.` kept.
 *
 * @throws {TypeError} when it is no DNS name
 */
export function resolveServerName(name: string, option: string): string {
  const wildcard = name.startsWith("*.");
  const host = normalizeHost(wildcard ? name.slice(2) : name);
  if (host === undefined || host.isIp) {
    throw new TypeError(
      `${cannot} ${option} must be a DNS name, current value is ${JSON.stringify(name)}`,
    );
  }
  return wildcard ? `*.${host.host}` : host.host;
}

/**
 * Checks the name that a client wants the server's certificate to be for.
 *
 * @throws {TypeError} when it is neither a DNS name nor an IP address
 */
export function resolveClientName(name: unknown): void {
  if (name === undefined || (typeof name === "string" && normalizeHost(name) !== undefined)) return;
  throw new TypeError(
    `${cannot} "serverName" must be a DNS name or an IP address, current value is ${
      JSON.stringify(name)
    }`,
  );
}

/** A SHA-256 fingerprint in hex, with or without colons between the bytes. */
const FINGERPRINT = /^(?:[0-9a-f]{64}|[0-9a-f]{2}(?::[0-9a-f]{2}){31})$/i;

/**
 * Checks what is pinned: fingerprints are returned as they are, certificates as DER bytes;
 * `undefined` when nothing is pinned.
 *
 * @param excluded Names of options that decide in another way what to trust.
 * @throws {TypeError} when it is neither, when it is empty, or when a CA is given as well
 */
export function resolvePins(
  value: unknown,
  excluded: Readonly<Record<string, unknown>>,
): readonly (string | Uint8Array<ArrayBuffer>)[] | undefined {
  if (value === undefined) return undefined;
  const other = Object.keys(excluded).find((name) => excluded[name] !== undefined);
  if (other !== undefined) {
    throw new TypeError(
      `${cannot} "pin" and "${other}" exclude each other: a pinned certificate needs no authority`,
    );
  }
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (texts.length === 0) {
    throw new TypeError(`${cannot} "pin" must not be an empty array: it would trust no one`);
  }
  return texts.flatMap((text) => resolvePin(text));
}

/**
 * Checks what a client pins; see {@linkcode resolvePins}.
 *
 * @throws {TypeError} when the native backend is asked for it, which does not show the server's certificate
 */
export function resolveClientPins(options: ClientTlsOptions): ReturnType<typeof resolvePins> {
  const { caCerts, caFile, pin, backend } = options;
  const pins = resolvePins(pin, { caCerts, caFile });
  if (pins === undefined || backend !== "deno") return pins;
  throw new TypeError(
    `${cannot} the "deno" backend does not tell which certificate a server showed ("pin"): ${useAnother}`,
  );
}

function resolvePin(text: unknown): (string | Uint8Array<ArrayBuffer>)[] {
  if (typeof text === "string" && FINGERPRINT.test(text)) return [text];
  const blocks = typeof text === "string" ? parsePem(text, `"pin"`) : [];
  const certificates = blocks.filter(({ label }) => label === "CERTIFICATE");
  if (certificates.length === 1) return certificates.map(({ der }) => new Uint8Array(der));
  throw new TypeError(
    `${cannot} "pin" must be one certificate in PEM, or a SHA-256 fingerprint of 64 hex digits: ` +
      (certificates.length > 1
        ? `it holds ${certificates.length} certificates, give the first alone`
        : typeof text === "string" && !text.includes("-----BEGIN")
        ? `it is a text of ${text.length} characters; to pin the certificate of a file, give the file's text`
        : `it is of type ${typeof text}`),
  );
}

/**
 * Refuses a path where the text of a file is wanted.
 *
 * @param file The option that takes the path.
 * @throws {TypeError} when `text` is one line without the beginning of PEM
 */
function refusePath(text: string, name: string, file: string): void {
  if (text === "" || text.includes("-----BEGIN") || /[\r\n]/.test(text.trim())) return;
  // Not quoted: it may be a key.
  throw new TypeError(
    `${cannot} ${name} must be PEM text: it looks like a path, which ${file} takes`,
  );
}

/** CA certificates as an array of texts. */
export function resolveTexts(value: unknown, option: string): readonly string[] {
  if (value === undefined) return [];
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (texts.length > 0 && texts.every((text) => typeof text === "string")) {
    for (const text of texts) {
      refusePath(text, `"${option}"`, option === "clientCa" ? `"clientCaFile"` : `"caFile"`);
    }
    return texts;
  }
  throw new TypeError(
    `${cannot} "${option}" must be PEM text, or an array of it that is not empty`,
  );
}

function lacksHalf(name: (option: string) => string, [has, lacks]: [string, string]): string {
  return `${cannot} ${name(has)} needs ${name(lacks)} with it`;
}

function oneOf<T extends string>(value: T, allowed: readonly T[], option: string): T {
  if (allowed.includes(value)) return value;
  const list = allowed.map((one) => `"${one}"`).join(", ");
  throw new TypeError(
    `${cannot} "${option}" must be one of ${list}, current value is ${JSON.stringify(value)}`,
  );
}
