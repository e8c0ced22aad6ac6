// Addresses as people type them: `localhost:5555`, `[::1]:5555`, `:5555`, `5555`, `unix:/run/app.sock`.
import type { Address } from "../../net/transport/transport.ts";
import { UsageError } from "./usage.ts";

/** Where to listen or dial, as `serve`, `connect`, `mount` and `join` take it. */
export type TypedAddress =
  | { readonly path: string }
  | { readonly hostname: string; readonly port: number };

/** Says how an address is typed; for help. */
export const ADDRESS_FORMS = "HOST:PORT, PORT (on this machine) or unix:PATH";

const LOOPBACK = "127.0.0.1";

/**
 * Reads an address; without a host, that is the loopback interface.
 *
 * @throws {UsageError} when it is none
 */
export function parseAddress(text: string): TypedAddress {
  if (text.startsWith("unix:") && text.length > 5) return { path: text.slice(5) };
  const [, six, name, digits] =
    /^(?:(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]/\s]*)):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits ?? NaN);
  if (!(port <= 65_535)) {
    throw new UsageError(`An address is ${ADDRESS_FORMS}, not "${text}"${addressHint(text)}`);
  }
  return { hostname: six ?? (name === undefined || name === "" ? LOOPBACK : name), port };
}

/** An address as people type it. */
export function addressText(address: TypedAddress | Address): string {
  if ("path" in address) return `unix:${address.path}`;
  if (!("port" in address)) return "memory";
  const { hostname, port } = address;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** What is wrong with an address, where that can be seen. */
function addressHint(text: string): string {
  // A name or an IPv4 address without a port.
  if (/^[A-Za-z0-9][\w.-]*$/.test(text) && !/^\d+$/.test(text)) {
    return `: a port is missing, such as ${text}:7000`;
  }
  if (/^[/.]/.test(text)) return `: a path is typed as unix:${text}`;
  if (/^[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:]*$/.test(text)) {
    return `: an IPv6 address is in brackets, such as [${text}]:7000`;
  }
  return "";
}
