// Translates the errors of platforms, when a socket fails, into Parley's codes.
import { AddressError, ClosedError, TlsError } from "../../errors.ts";
import type { Address } from "./transport.ts";

/** Returns an address in one line, as messages quote it. */
export function addressText(address: Address): string {
  switch (address.transport) {
    case "tcp":
      return address.hostname.includes(":")
        ? `[${address.hostname}]:${address.port}`
        : `${address.hostname}:${address.port}`;
    case "unix":
      return address.path;
    case "memory":
      return address.name;
  }
}

/** What was tried on a connection. */
type Operation = "read" | "write" | "close";

/** What {@linkcode closedHere} returns, one for each operation. */
const closed: Partial<Record<Operation, ClosedError>> = {};

/**
 * Returns the error of an operation after our own `close()`. It is the same object each time and
 * has no stack: it ends the current read whenever a connection is closed, where mostly no code
 * looks at it, and a stack would be the dearest part of that.
 */
export function closedHere(what: Operation): ClosedError {
  return closed[what] ??= withoutStack(
    new ClosedError("ERR_CLOSED", `Cannot ${verbOf(what)}: the connection was closed on this side`),
  );
}

/** Makes the error of an operation on a connection whose peer vanished. */
export function peerVanished(what: Operation, cause: unknown): ClosedError {
  return new ClosedError(
    "ERR_RESET",
    `Cannot ${verbOf(what)}: the peer vanished: ${reasonOf(cause)}`,
    {
      cause,
    },
  );
}

/**
 * What the alerts mean that a peer sends when it refuses us; the others are named as the platform
 * names them.
 */
const ALERTS: Readonly<Record<string, string>> = {
  certificaterequired: "it wants a client certificate: set `cert` and `key`",
  badcertificate: "it refuses our certificate as a bad one",
  unsupportedcertificate: "it does not take this kind of certificate",
  certificaterevoked: "our certificate was revoked",
  certificateexpired: "our certificate has expired or is not yet valid",
  certificateunknown: "it refuses our certificate",
  unknownca: "it does not know the authority that issued our certificate",
  accessdenied: "it refuses access to the owner of our certificate",
  // What a server on Deno's node:tls can say, and says right after the handshake, of a certificate
  // that it does not trust.
  unexpectedmessage: "right after the handshake it means that our certificate is refused",
};

/**
 * Makes the error of an operation on a connection that the peer ended by a TLS alert; `undefined`
 * when there was none. With TLS 1.3 a server refuses a client's certificate only after the client
 * has finished its handshake: so it shows at the first read or write.
 */
export function alertFault(what: Operation, cause: unknown): TlsError | undefined {
  const name = /fatal alert:? "?([A-Za-z_]+)/i.exec(reasonOf(cause))?.[1];
  if (name === undefined) return undefined;
  const meaning = ALERTS[name.replaceAll("_", "").toLowerCase()] ?? "see RFC 8446, section 6.2";
  return new TlsError(
    "ERR_TLS_HANDSHAKE",
    `Cannot ${verbOf(what)}: the peer ended the TLS session by the alert ${name}: ${meaning}`,
    { cause },
  );
}

/** Makes the error of a failed operation: the peer sent an alert, or vanished. */
export function transportFault(what: Operation, cause: unknown): ClosedError | TlsError {
  return alertFault(what, cause) ?? peerVanished(what, cause);
}

function verbOf(what: Operation): string {
  return what === "close" ? "end the connection in order" : what;
}

function withoutStack<Fault extends Error>(error: Fault): Fault {
  error.stack = `${error.name}: ${error.message}`;
  return error;
}

/** Makes the error of a caller that starts two reads, or two writes, at a time. */
export function busy(what: "read" | "write"): TypeError {
  return new TypeError(`Cannot ${what}: another ${what} is under way`);
}

/** The caller's mistake of transferring bytes before they are sent. */
export function bufferGone(): ClosedError {
  return new ClosedError(
    "ERR_CLOSED",
    "Cannot send on: the buffer of a message was transferred or resized before the kernel had it: wait for flush() before you " +
      "transfer it, or send a copy, such as message.slice()",
  );
}

/** Makes the error of a caller that starts two accepts at a time. */
export function busyAccept(): TypeError {
  return new TypeError("Cannot accept: another accept is under way");
}

/** Makes the error of a failed listen. An error that is not the fault of the address is returned as it is. */
export function listenFault(address: Address, cause: unknown): unknown {
  const where = JSON.stringify(addressText(address));
  if (isKind(cause, Deno.errors.AddrInUse, "EADDRINUSE")) {
    return new AddressError(
      "ERR_ADDRESS_IN_USE",
      `Cannot listen on ${where}: the address is in use`,
      {
        cause,
      },
    );
  }
  if (isPermission(cause) || !(cause instanceof Error)) return cause;
  const message = `Cannot listen on ${where}: ${reasonOf(cause)}`;
  return new AddressError("ERR_ADDRESS_INVALID", message, { cause });
}

/** Makes the error of a failed dial. A missing permission is returned as it is. */
export function dialFault(address: Address, cause: unknown): unknown {
  const where = JSON.stringify(addressText(address));
  const isRefused = isKind(cause, Deno.errors.ConnectionRefused, "ECONNREFUSED") ||
    // A listener that closes resets the connections that it has not accepted.
    isKind(cause, Deno.errors.ConnectionReset, "ECONNRESET") ||
    (address.transport === "unix" && isKind(cause, Deno.errors.NotFound, "ENOENT"));
  if (isRefused) {
    return new AddressError(
      "ERR_CONNECT_REFUSED",
      `Cannot connect to ${where}: no program listens there`,
      {
        cause,
      },
    );
  }
  if (isPermission(cause) || !(cause instanceof Error)) return cause;
  const message = `Cannot connect to ${where}: it cannot be reached: ${reasonOf(cause)}`;
  return new AddressError("ERR_ADDRESS_INVALID", message, { cause });
}

/**
 * Whether both ends of a TCP connection have the same address. Ends of another kind may well have
 * the same name.
 */
export function isSelf(near: Address, far: Address): boolean {
  return near.transport === "tcp" && far.transport === "tcp" && near.port === far.port &&
    near.hostname === far.hostname;
}

/**
 * Makes the error of a dial that connected to itself: the kernel chose the dialled port as the port
 * to dial from.
 */
export function selfConnected(address: Address): AddressError {
  const where = JSON.stringify(addressText(address));
  const text =
    `Cannot connect to ${where}: nothing listens there: the socket was connected to itself`;
  return new AddressError("ERR_CONNECT_REFUSED", text);
}

/**
 * Codes of `accept` for a connection that ended before it was accepted: accept(2) on Linux, "Error
 * handling", and on macOS `EINVAL` for the address of a connection that was reset.
 */
const CONNECTION_FAULTS: ReadonlySet<string> = new Set([
  "ECONNABORTED",
  "ECONNRESET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EINTR",
  "EINVAL",
  "ENETDOWN",
  "ENETUNREACH",
  "ENONET",
  "ENOTCONN",
  "EPIPE",
  "EPROTO",
  "ETIMEDOUT",
]);

/**
 * Whether an `accept` failed for one connection only, such as a connection that was reset while it
 * waited; then the next connection can be accepted at once. All other errors, such as no free
 * descriptor, are faults of the process: the next attempt would fail as well.
 */
export function isConnectionFault(cause: unknown): boolean {
  return CONNECTION_FAULTS.has(codeOf(cause)) || cause instanceof Deno.errors.NotConnected ||
    cause instanceof Deno.errors.ConnectionReset || cause instanceof Deno.errors.ConnectionAborted;
}

/** Makes the error of a handshake after which both sides would speak different protocols. */
export function alpnMismatch(wanted: readonly string[]): TlsError {
  const list = wanted.map((name) => JSON.stringify(name)).join(", ");
  return new TlsError(
    "ERR_TLS_HANDSHAKE",
    `Cannot finish the TLS handshake: the peer agreed on no application protocol: wanted one of ${list}`,
  );
}

/**
 * Makes the error of a failed TLS handshake. Failures of certificates have codes of their own, each
 * with what to look at.
 *
 * @param hostname The name that the server's certificate must be for; absent on a server.
 */
export function handshakeFault(cause: unknown, hostname?: string): TlsError {
  const text = `${codeOf(cause)} ${reasonOf(cause)}`;
  if (/\bexpired|not ?yet ?valid|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/i.test(text)) {
    return certificateFault("ERR_CERT_EXPIRED", "it has expired or is not yet valid", cause);
  }
  if (/NotValidForName|not valid for name|ALTNAME_INVALID/i.test(text)) {
    const shown = JSON.stringify(hostname ?? "");
    return certificateFault("ERR_CERT_WRONG_HOST", `it is not for ${shown}`, cause);
  }
  if (UNTRUSTED.test(text)) {
    return certificateFault(
      "ERR_CERT_UNTRUSTED",
      "none of the trusted authorities issued it",
      cause,
    );
  }
  const reason = reasonOf(cause);
  const message = NO_TLS.test(text)
    ? `Cannot finish the TLS handshake: the peer does not speak TLS: ${
      hostname === undefined
        ? "a client of this port must be given `tls`"
        : "leave out `tls` for this port"
    } (${reason})`
    : `Cannot finish the TLS handshake: ${reason}${
      hostname !== undefined && cause instanceof Deno.errors.UnexpectedEof
        ? ": if it does not speak TLS, leave out `tls`"
        : ""
    }`;
  return new TlsError("ERR_TLS_HANDSHAKE", message, { cause });
}

/** Texts of the platforms for first bytes that are no record of TLS. */
const NO_TLS =
  /WRONG_VERSION_NUMBER|corrupt message of type Invalid(ContentType|MessageType)|UnknownProtocolVersion/i;

/** Makes the cause of a handshake that failed because the peer left during it. */
export class HangUp extends Error {
  override readonly name = "HangUp";
}

/**
 * Whether a handshake failed because the peer hung up: a probe that connects and leaves, or a
 * client that gave up. Unlike wrong bytes or a wrong certificate, that is no offence.
 */
export function isHangUp(error: unknown): boolean {
  if (error instanceof ClosedError) return true;
  if (!(error instanceof TlsError)) return false;
  const { cause } = error;
  return cause instanceof HangUp || cause instanceof Deno.errors.UnexpectedEof ||
    cause instanceof Deno.errors.BrokenPipe || isConnectionFault(cause);
}

const UNTRUSTED =
  /UnknownIssuer|unknown issuer|BadSignature|CaUsedAsEndEntity|InvalidPurpose|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|invalid peer certificate/i;

function certificateFault(
  code: "ERR_CERT_EXPIRED" | "ERR_CERT_WRONG_HOST" | "ERR_CERT_UNTRUSTED",
  why: string,
  cause: unknown,
): TlsError {
  const message = `Cannot trust the peer's certificate: ${why} (${reasonOf(cause)})`;
  return new TlsError(code, message, { cause });
}

/** Whether it is an error of this class of Deno, or one of node with this code. */
export function isKind(
  error: unknown,
  kind: new (message: string) => Error,
  code: string,
): boolean {
  return error instanceof kind || codeOf(error) === code;
}

function isPermission(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable || codeOf(error) === "ERR_ACCESS_DENIED";
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}

/**
 * Returns the text of a platform's error as one line of bounded length, because a peer may control
 * parts of it.
 */
function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message || cause.name : String(cause);
  // deno-lint-ignore no-control-regex -- keeping them out is the purpose
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").slice(0, 200);
}
