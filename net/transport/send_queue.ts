// What the kernel still holds of what was written to a TCP connection, where the system says so:
// Linux does, in /proc/net.
import { parseIpAddress } from "../address/ip_address.ts";
import type { Address } from "./transport.ts";

/** The system's lists of TCP sockets. */
const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"];

/** How long a list that was read is used, in ms: many slow peers share one reading. */
const FRESH_MS = 250;

/** Bytes that the kernel holds for each connection that has any, by its {@linkcode connectionKey}. */
type Queues = ReadonlyMap<string, number>;

let queues: Queues | null = null;
let readAtMs = -Infinity;
/** Whether the lists can be read here; found out at the first use. */
let isReadable: boolean | undefined;

/**
 * The bytes of one TCP connection that the peer's kernel has not acknowledged. `null` where that
 * cannot be found out: not on Linux, without all permissions (Deno wants `--allow-all` for /proc),
 * not over TCP, or not listed.
 */
export function unacknowledgedBytes(localAddr: Address, remoteAddr: Address): number | null {
  const key = connectionKey(localAddr, remoteAddr);
  isReadable ??= mayRead();
  if (key === null || !isReadable) return null;
  const nowMs = performance.now();
  if (nowMs - readAtMs >= FRESH_MS) {
    readAtMs = nowMs;
    queues = readQueues();
  }
  return queues === null ? null : queues.get(key) ?? null;
}

/** Whether the program may read the lists. It never prompts: no user expects a prompt about slow peers. */
function mayRead(): boolean {
  return Deno.build.os === "linux" &&
    TABLES.every((path) => Deno.permissions.querySync({ name: "read", path }).state === "granted");
}

function readQueues(): Queues | null {
  try {
    return parseQueues(TABLES.map((path) => Deno.readTextFileSync(path)).join("\n"));
  } catch {
    isReadable = false;
    return null;
  }
}

/**
 * Reads the rows of /proc/net/tcp and tcp6; those without waiting bytes are left out.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const row = "  3: 0100007F:9961 0100007F:B710 01 0003F7A0:00000000 00:00000000 00000000 0 0 0 1";
 * assertEquals([...parseQueues(row)], [["39265 127.0.0.1 46864", 260_000]]);
 * ```
 */
export function parseQueues(text: string): Queues {
  const found = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, local = "", remote = "", , waiting = ""] = line.trim().split(/\s+/, 5);
    const bytes = parseInt(waiting, 16);
    const [, localPort] = local.split(":");
    const [remoteHost, remotePort] = remote.split(":");
    if (
      !(bytes > 0) || localPort === undefined || remoteHost === undefined ||
      remotePort === undefined
    ) {
      continue;
    }
    found.set(
      `${parseInt(localPort, 16)} ${hostText(remoteHost)} ${parseInt(remotePort, 16)}`,
      bytes,
    );
  }
  return found;
}

/**
 * The kernel's form of an address, words of four bytes in the order of the machine, as
 * {@linkcode plainHost} writes it.
 */
function hostText(hex: string): string {
  const bytes: number[] = [];
  for (let word = 0; word < hex.length; word += 8) {
    for (let at = 6; at >= 0; at -= 2) {
      bytes.push(parseInt(hex.slice(word + at, word + at + 2), 16));
    }
  }
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from(
    { length: 8 },
    (_, at) => (bytes[2 * at]! << 8 | bytes[2 * at + 1]!).toString(16),
  );
  return plainHost(groups.join(":"));
}

/**
 * Returns the same form of an address, however it is written: an IPv4 address within IPv6 is an
 * IPv4 address.
 */
function plainHost(text: string): string {
  const address = parseIpAddress(text);
  if (address === null) return text;
  return address.family === 4
    ? address.octets.join(".")
    : address.groups.map((group) => group.toString(16)).join(":");
}

/** Returns the text that identifies a connection of this machine. */
function connectionKey(localAddr: Address, remoteAddr: Address): string | null {
  if (localAddr.transport !== "tcp" || remoteAddr.transport !== "tcp") return null;
  return `${localAddr.port} ${plainHost(remoteAddr.hostname)} ${remoteAddr.port}`;
}
