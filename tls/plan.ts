// Plans what one side of a connection loads: which files, in which order, with which checks.
import { checkOptionNames } from "../options/names.ts";
import { TLS_IDENTITY_NAMES } from "./option_names.ts";
import { TlsError } from "../errors.ts";
import { withoutBrackets } from "../net/address/brackets.ts";
import { checkAuthorities, type CheckedIdentity, checkIdentity, lastEnd } from "./check.ts";
import type { CertificateEnd } from "./expiry.ts";
import { matchesHost } from "./handshake/host.ts";
import { pinFingerprints } from "./handshake/pin.ts";
import type {
  ClientTlsOptions,
  Credentials,
  ResolvedClientTls,
  ServerCredentials,
  ServerTlsOptions,
  TlsIdentity,
} from "./handshake/options.ts";
import {
  checkServerBackend,
  type IdentityOrigin,
  requireIdentity,
  resolveClientName,
  resolveClientPins,
  resolveCommonTls,
  resolveIdentity,
  resolvePins,
  resolveServerName,
  resolveTexts,
} from "./resolve.ts";

/** Credentials, with their certificate that expires first. */
export interface LoadedCredentials extends ServerCredentials {
  readonly end: CertificateEnd;
}

/** What is loaded again and again. Files that are not watched are read once. */
export interface LoadPlan {
  readonly watchedFiles: readonly string[];
  load(now: number): Promise<LoadedCredentials>;
}

/** Checks the options and returns what they load, before anything is loaded. */
export function planServer(options: ServerTlsOptions): LoadPlan {
  const origin = requireIdentity(options, "");
  resolveCommonTls(options);
  checkServerBackend(options);
  const main = planIdentity(origin, "");
  const names = planNames(options.sni ?? {});
  const caTexts = resolveTexts(options.clientCa, "clientCa");
  const { clientCa: ca, clientCaFile: caFile } = options;
  const pinned = resolvePins(options.pin, { clientCa: ca, clientCaFile: caFile });
  const inlineCa = once((now: number) =>
    Promise.resolve(caTexts.flatMap((text) => checkAuthorities(text, `"clientCa"`, now)))
  );
  const { clientCaFile } = options;
  const watchCa = clientCaFile !== undefined && origin.kind === "files" && origin.watch;
  const fileCa = clientCaFile === undefined
    ? () => Promise.resolve([])
    : (now: number) => loadAuthorities(clientCaFile, "clientCaFile", now);
  const loadFileCa = watchCa ? fileCa : once(fileCa);
  return {
    watchedFiles: [main, ...names].flatMap((one) => one.watchedFiles).concat(
      watchCa ? [clientCaFile] : [],
    ),
    async load(now) {
      const own = await main.load(now);
      const clientCa = [...await inlineCa(now), ...await loadFileCa(now)];
      const caEnd = clientCa.length === 0 ? undefined : lastEnd(clientCa);
      const sni = new Map<string, Credentials>();
      let end = own.end;
      for (const { name, load } of names) {
        const checked = await load(now);
        sni.set(name, { cert: checked.cert, key: checked.key });
        if (checked.end.notAfter < end.notAfter) end = checked.end;
      }
      if (caEnd !== undefined && caEnd.notAfter < end.notAfter) end = caEnd;
      const pins = pinned && await pinFingerprints(pinned);
      return { cert: own.cert, key: own.key, clientCa, ...pins && { pins }, sni, end };
    },
  };
}

/**
 * Loads and checks what a client needs. It reads files at each call: so a client that calls it
 * before each dial follows changed files.
 *
 * @param now Current time, in milliseconds since 1970.
 * @throws as {@linkcode loadTls} does
 */
export async function resolveClientTls(
  options: ClientTlsOptions,
  now: number = Date.now(),
): Promise<ResolvedClientTls> {
  const common = resolveCommonTls(options);
  const origin = resolveIdentity(options, "");
  const { caFile, serverName } = options;
  const texts = resolveTexts(options.caCerts, "caCerts");
  resolveClientName(serverName);
  const pinned = resolveClientPins(options);
  const caCerts = texts.flatMap((text) => checkAuthorities(text, `"caCerts"`, now));
  if (caFile !== undefined) {
    caCerts.push(...await loadAuthorities(caFile, "caFile", now));
  }
  const identity = origin && await loadIdentity(origin, "", { role: "client", now });
  return {
    ...common,
    caCerts: caCerts.length === 0 ? undefined : caCerts,
    ...pinned && { pins: await pinFingerprints(pinned) },
    ...identity && { cert: identity.cert, key: identity.key },
    ...serverName !== undefined && { serverName: withoutBrackets(serverName) },
  };
}

/** How one identity is loaded. */
interface IdentityPlan {
  readonly watchedFiles: readonly string[];
  load(now: number): Promise<CheckedIdentity>;
}

function planIdentity(origin: IdentityOrigin, path: string): IdentityPlan {
  const watched = origin.kind === "files" && origin.watch;
  const load = (now: number) => loadIdentity(origin, path, { role: "server", now });
  // An identity that is not watched was checked at the start. When it expires, the others must
  // still be reloaded.
  return watched
    ? { watchedFiles: [origin.certFile, origin.keyFile], load }
    : { watchedFiles: [], load: once(load) };
}

function planNames(sni: Readonly<Record<string, TlsIdentity>>): ReturnType<typeof planName>[] {
  const plans = Object.entries(sni).map(([name, identity]) => planName(name, identity));
  const twice = plans.find(({ name }, i) => plans.some((other, j) => j < i && other.name === name));
  if (twice === undefined) return plans;
  throw new TypeError(
    `Cannot use the TLS options: "sni" must have each name once, it has "${twice.name}" twice`,
  );
}

function planName(name: string, identity: TlsIdentity): IdentityPlan & { readonly name: string } {
  const path = `sni[${JSON.stringify(name)}]`;
  checkOptionNames("Cannot use the TLS options", identity, TLS_IDENTITY_NAMES, `${path}.`);
  const host = resolveServerName(name, `a name of "sni"`);
  const { watchedFiles, load } = planIdentity(requireIdentity(identity, `${path}.`), `${path}.`);
  return {
    name: host,
    watchedFiles,
    async load(now) {
      const checked = await load(now);
      const names = checked.leaf.subjectAltNames;
      const covered = host.startsWith("*.")
        ? names.some((one) => one.toLowerCase() === `dns:${host}`)
        : matchesHost(names, host);
      if (covered) return checked;
      throw new TlsError(
        "ERR_CERT_WRONG_HOST",
        `Cannot use "${path}": its certificate is not for that name, it is for "${
          names.join(`", "`)
        }"`,
      );
    },
  };
}

async function loadIdentity(
  origin: IdentityOrigin,
  path: string,
  use: { role: "server" | "client"; now: number },
): Promise<CheckedIdentity> {
  const [cert, key] = origin.kind === "text"
    ? ["cert", "key"] as const
    : ["certFile", "keyFile"] as const;
  const [certOption, keyOption] = [`"${path}${cert}"`, `"${path}${key}"`];
  if (origin.kind === "text") {
    const text = { cert: origin.cert, key: origin.key, certName: certOption, keyName: keyOption };
    return await checkIdentity(text, use);
  }
  const text = {
    cert: await readNamedFile(origin.certFile, certOption),
    key: await readNamedFile(origin.keyFile, keyOption),
    certName: fileName(`${path}certFile`, origin.certFile),
    keyName: fileName(`${path}keyFile`, origin.keyFile),
  };
  return await ofFile(() => checkIdentity(text, use));
}

async function loadAuthorities(path: string, option: string, now: number): Promise<string[]> {
  const text = await readNamedFile(path, `"${option}"`);
  return await ofFile(() => checkAuthorities(text, fileName(option, path), now));
}

/**
 * Checks what was read from files. It throws no TypeError, which would say that the caller's
 * options are wrong and that no repetition helps: the file may have been read while it was being
 * replaced.
 */
async function ofFile<T>(check: () => Promise<T> | T): Promise<T> {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new TlsError("ERR_CERT_MALFORMED", error.message, { cause: error });
  }
}

/** Reads a file; an error keeps its class and says which option names the file. */
async function readNamedFile(path: string, option: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    const name = cause instanceof Error ? cause.name : "";
    const kinds: Readonly<Record<string, new (message: string, options: ErrorOptions) => Error>> =
      Deno.errors;
    const Kind = (Object.hasOwn(kinds, name) ? kinds[name] : undefined) ?? Error;
    const reason = cause instanceof Deno.errors.NotFound
      ? "there is no such file"
      : "it cannot be read";
    throw new Kind(`Cannot use the file of ${option}: ${reason}: ${JSON.stringify(path)}`, {
      cause,
    });
  }
}

function fileName(option: string, path: string): string {
  return `the file of "${option}" (${JSON.stringify(path)})`;
}

/** Remembers the first result that is not an error. */
function once<A extends unknown[], R>(
  call: (...args: A) => Promise<R>,
): (...args: A) => Promise<R> {
  let result: { value: R } | undefined;
  return async (...args) => (result ??= { value: await call(...args) }).value;
}
