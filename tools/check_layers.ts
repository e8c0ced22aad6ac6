// Checks that imports only point down the layers and make no circle, that pure code is pure, and
// that files and folders stay small.

import { fail } from "./report.ts";
import { findLibraryFiles, ROOT } from "./source_files.ts";
import { codeOnly, importsOf } from "./source_text.ts";

/**
 * The layer of each file, or of all files below a folder; the longest path that fits counts.
 * `docs/architecture.md` says what each layer is for.
 */
const LAYERS: Readonly<Record<string, number>> = {
  "async/clock.ts": 0,
  "error_chain.ts": 0,
  "errors.ts": 0,
  "log/": 0,
  "net/transport/transport.ts": 0,
  "options/": 0,
  "tls/handshake/options.ts": 0,

  "calls/protocol/": 1,
  "codec/schema.ts": 1,
  "collections/": 1,
  "framing.ts": 1,
  "framing/": 1,
  "ipc/link/state.ts": 1,
  "ipc/protocol/": 1,
  "ipc/secure/handshake.ts": 1,
  "ipc/secure/hello.ts": 1,
  "ipc/secure/key_schedule.ts": 1,
  "limits/": 1,
  "mux/header.ts": 1,
  "mux/state.ts": 1,
  "mux/credit_window.ts": 1,
  "net/address/": 1,
  "net/transport/first_bytes.ts": 1,
  "net/transport/proxy_header.ts": 1,
  "net/transport/proxy_sources.ts": 1,
  "pool/balance.ts": 1,
  "pool/dispatcher.ts": 1,
  "pool/member.ts": 1,
  "pool/outliers.ts": 1,
  "pool/retry_budget.ts": 1,
  "stats/data/": 1,
  "stats/export/": 1,
  "stats/telemetry/trace_context.ts": 1,

  "async/": 2,
  "ipc/endpoint/": 2,
  "ipc/secure/frame_link.ts": 2,
  "ipc/secure/record_reader.ts": 2,
  "ipc/secure/records.ts": 2,
  "limits/descriptors.ts": 2,
  "net/": 2,
  "stats/data/recent_errors.ts": 2,
  "stats/export/report.ts": 2,
  "stats/telemetry/": 2,
  "tls/": 2,

  "connection.ts": 3,
  "connection/": 3,
  "ipc/secure/": 3,

  "mux/": 4,

  "accept/": 5,
  "client.ts": 5,
  "client/": 5,
  "ipc/": 5,
  "pool.ts": 5,
  "pool/": 5,
  "server.ts": 5,
  "server/": 5,
  "stats/": 5,
  "wire/": 5,
  "workers/": 5,

  "calls/": 6,
  "codec/": 6,

  "cli/": 7,
  "mod.ts": 7,
};

/** Layer whose files take time and randomness as arguments and never wait. */
const PURE_LAYER = 1;
const IMPURE = /\bDeno\s*\.|\bawait\b|\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/g;

const SOCKET_MODULES = /^node:(?:net|tls|dgram)$/;
const SOCKET_NAMES =
  /\bDeno\s*\.\s*(?:listen|listenTls|listenDatagram|connect|connectTls|startTls|connectQuic|QuicEndpoint|Conn|TcpConn|TlsConn|UnixConn|Listener|TcpListener|TlsListener|UnixListener)\b/g;

/** Packages that only JSR has: with links, a project that reaches npm alone cannot load them. */
const FROM_JSR = /^(?:@std\/|jsr:)/;

/** The most lines that a file may have. */
const MAX_LINES = 400;

/** Files that may have more: each is one state machine, which reads better whole. */
const LONGER: Readonly<Record<string, number>> = {
  "mux/engine.ts": 424,
  "mux/stream_core.ts": 410,
};

/** The most files that a folder may have. */
const MAX_FILES = 24;

function layerOf(path: string): number | undefined {
  for (let key = path; key !== ""; key = key.slice(0, key.lastIndexOf("/", key.length - 2) + 1)) {
    if (LAYERS[key] !== undefined) return LAYERS[key];
  }
  return undefined;
}

/** The path that a relative specifier in the file at `path` means. */
function resolve(specifier: string, path: string): string {
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

/** What is wrong with one file's imports. */
function checkImports(path: string, layer: number, files: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  for (const { specifier } of importsOf(files.get(path)!)) {
    if (SOCKET_MODULES.test(specifier) && !path.startsWith("net/")) {
      faults.push(`${path}: imports "${specifier}", which only net/ may`);
    }
    if (specifier.startsWith("@parley/")) {
      faults.push(`${path}: imports "${specifier}", not a file`);
    }
    if (FROM_JSR.test(specifier) && !path.startsWith("cli/")) {
      faults.push(`${path}: imports "${specifier}" from JSR, which only cli/ may`);
    }
    if (!specifier.startsWith(".")) continue;
    const target = resolve(specifier, path);
    const below = layerOf(target);
    if (!files.has(target)) {
      faults.push(`${path}: imports ${target}, which is no file of the library`);
    } else if (below !== undefined && below > layer) {
      faults.push(`${path}: layer ${layer} imports ${target} of layer ${below}`);
    }
  }
  return faults;
}

/** What is wrong with one file's code. */
function checkCode(path: string, layer: number, source: string): string[] {
  const code = codeOnly(source);
  const uses = (pattern: RegExp) =>
    [...new Set(code.match(pattern) ?? [])].map((text) => text.replace(/\s/g, ""));
  const faults: string[] = [];
  if (layer === PURE_LAYER) {
    faults.push(
      ...uses(IMPURE).map((text) => `${path}: uses "${text}" in pure layer ${PURE_LAYER}`),
    );
  }
  if (!path.startsWith("net/")) {
    faults.push(
      ...uses(SOCKET_NAMES).map((text) => `${path}: uses "${text}", which only net/ may`),
    );
  }
  const lines = source.trimEnd().split("\n").length;
  const most = LONGER[path] ?? MAX_LINES;
  if (lines > most) faults.push(`${path}: ${lines} lines, of at most ${most}`);
  return faults;
}

/** Places, and for each the places that it imports, with the import that makes the tie. */
type Graph = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** What each file imports, types included. */
function fileGraph(files: ReadonlyMap<string, string>): Graph {
  return new Map([...files].map(([path, source]) => {
    const targets = importsOf(source).filter(({ specifier }) => specifier.startsWith("."))
      .map(({ specifier }) => resolve(specifier, path)).filter((target) => files.has(target));
    return [path, new Map(targets.map((target) => [target, `${path} imports ${target}`]))];
  }));
}

/**
 * The folder of a file. A file of the top folder, and the `mod.ts` of a folder, are faces: each is
 * a place of its own.
 */
function roomOf(path: string): string {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  return folder === "" || path.endsWith("/mod.ts") ? path : folder;
}

/** Which folder imports from which. */
function roomGraph(files: Graph): Graph {
  const rooms = new Map<string, Map<string, string>>();
  for (const [path, targets] of files) {
    const from = roomOf(path);
    const ties = rooms.get(from) ?? new Map<string, string>();
    rooms.set(from, ties);
    for (const [target, tie] of targets) if (roomOf(target) !== from) ties.set(roomOf(target), tie);
  }
  return rooms;
}

/** The circles of a graph, each reported once, as the imports that lead from its first place back to it. */
function findCycles(graph: Graph): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (place: string, trail: readonly string[]) => {
    const start = trail.indexOf(place);
    if (start >= 0) {
      const circle = [...trail.slice(start), place];
      cycles.push(circle.slice(1).map((to, i) => graph.get(circle[i]!)!.get(to)).join("; "));
      return;
    }
    if (done.has(place)) return;
    for (const target of graph.get(place)?.keys() ?? []) visit(target, [...trail, place]);
    done.add(place);
  };
  for (const place of graph.keys()) visit(place, []);
  return cycles;
}

/** What is wrong in the library, given the text of each of its files by path; empty if nothing is. */
export function checkLayers(files: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  for (const [path, source] of files) {
    const layer = layerOf(path);
    if (layer === undefined) {
      faults.push(`${path}: has no layer; give it one in tools/check_layers.ts`);
      continue;
    }
    faults.push(...checkImports(path, layer, files), ...checkCode(path, layer, source));
  }
  const graph = fileGraph(files);
  const cycles = [...findCycles(graph), ...findCycles(roomGraph(graph))];
  return [...faults, ...crowdedFolders(files), ...cycles.map((cycle) => `Circle: ${cycle}`)];
}

/** Folders with more files than a reader takes in at once. */
function crowdedFolders(files: ReadonlyMap<string, string>): string[] {
  const folders = Map.groupBy(files.keys(), (path) => path.slice(0, path.lastIndexOf("/") + 1));
  return [...folders].filter(([, paths]) => paths.length > MAX_FILES)
    .map(([folder, paths]) => `${folder}: ${paths.length} files, of at most ${MAX_FILES}`);
}

if (import.meta.main) {
  const files = findLibraryFiles().map((path) =>
    [path, Deno.readTextFileSync(new URL(path, ROOT))] as const
  );
  const faults = checkLayers(new Map(files));
  if (faults.length > 0) fail(faults.join("\n"));
}
