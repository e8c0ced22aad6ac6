// Hints: what to try next, by the code of the error.
import { ParleyError, type ParleyErrorCode, TimeoutError } from "../../errors.ts";
import { escapeForTerminal } from "../../log/text.ts";
import { say } from "./talk.ts";

const HINTS: Readonly<Partial<Record<ParleyErrorCode, string>>> = {
  ERR_ADDRESS_IN_USE:
    "another program listens there; choose another address, or port 0 for a free one",
  ERR_CERT_EXPIRED:
    'see its dates with "parley cert show FILE"; make a new one with "parley cert server"',
  ERR_CERT_EXPIRING: 'make a new one with "parley cert server", or see why it was not renewed',
  ERR_CERT_MALFORMED:
    "check that the file is complete, and in PEM: is it the right file, or is it being written?",
  ERR_CERT_KEY_MISMATCH: "use the key that the certificate was made with",
  ERR_CERT_UNTRUSTED: "name the certificate of the authority that signed it with --ca FILE",
  ERR_CERT_WRONG_HOST:
    'use a name of the certificate with --server-name; list them with "parley cert show FILE"',
  ERR_CONNECT_REFUSED: "nothing listens there: is the server running, and is this its address?",
  ERR_CONNECT_TIMEOUT:
    "is the address right, does a firewall let it through, and do both sides use TLS or neither?",
  ERR_FRAME_TOO_LARGE:
    "allow more with --max-message, or check that both sides use the same --framing, and both TLS or neither: --tls",
  ERR_FRAME_MALFORMED:
    "check that both sides use the same --framing; messages with line feeds need another --out-framing",
  ERR_NOT_OUR_PROTOCOL:
    "another program listens there, or connects here; does only one side use TLS? Add --tls, or leave it out",
  ERR_AUTH: "check that the token or key is the one that the other side expects",
  ERR_TLS_HANDSHAKE:
    "check that both sides use TLS, or leave out --tls; a client certificate may be needed: --cert and --key",
  ERR_ADDRESS_INVALID:
    "check that the name or address is right, and that the folder of a socket is yours",
  ERR_SOCKET_PATH_TOO_LONG: "choose a shorter path: the system allows little more than 100 bytes",
  ERR_FORBIDDEN:
    "check who may do that on the other side, or who may read the file: chmod 600 FILE",
  ERR_BUSY: "the other side has as many clients as it accepts; end one, or allow more there",
  ERR_TOO_MANY_CONNECTIONS:
    "the other side accepts no more now: allow more there, or find out there why it is busy",
  ERR_TOO_MANY_STREAMS:
    "end some, wait longer, or allow more at the hub with --max-streams-per-pair",
  ERR_NAME_TAKEN:
    "another client has this identity: end that one, or choose another with --identity",
  ERR_NO_PEER:
    'no client of that name is at the hub: does "parley expose" run, with that --identity?',
  ERR_NO_HANDLER: "the other side has joined but does not offer that: is the name right?",
  ERR_TARGET_REFUSED:
    "the exposed target accepts no connections: does it run, and is its address right?",
  ERR_TARGET_TIMEOUT:
    "the exposed target does not answer in time: is it busy, and is its address right?",
  ERR_VERSION: "use the same version of Parley on both sides",
  ERR_WIRE_VERSION: "use the same version of Parley on both sides",
  ERR_HANDSHAKE_TIMEOUT:
    "a program is there and sends nothing: is it the right one, and is it busy?",
  ERR_READ_TIMEOUT: "allow more time with --timeout",
  ERR_WRITE_TIMEOUT: "the other side reads nothing: is it stopped or busy?",
  ERR_SLOW_CONSUMER: "the other side reads too little: is it stopped or busy?",
  ERR_KEEPALIVE_TIMEOUT:
    "no sign of life comes from the other side: is it stopped, or the network down?",
  ERR_IDLE_TIMEOUT: "there was no traffic for too long; allow more with --idle-timeout",
  ERR_DRAIN_TIMEOUT: "the rest was cut; allow more time with --drain-timeout",
  ERR_RESET: "the other side went away: does it still run, and what does it log?",
  ERR_RATE_LIMITED: "send less at a time, or allow more on the other side",
  ERR_GOING_AWAY: "the other side is ending; try again when it is back",
  ERR_HANDLER: "the other side failed: see its log",
  ERR_QUEUE_FULL: "more waits than the limit allows; send less at a time",
  ERR_CALL_TIMEOUT: "allow more time with --timeout, or find out what keeps the other side busy",
  ERR_UNKNOWN_CALL:
    "the other side answers no call of that name: is it right, behind the name of its contract, as in clock.add?",
  ERR_CONTRACT_MISMATCH:
    "where the kind differs, choose --feed, --collect, --talk or none of them; where the version does, one that is equal before the first dot, with --contract-version",
  ERR_INPUT_INVALID: "change the input where the text says, to what the other side accepts",
  ERR_OUTPUT_INVALID: "the other side returned something else: is its contract the same?",
  ERR_MESSAGE_INVALID: "the other side sent something else: do both use the same schema?",
  ERR_MESSAGE_MALFORMED: "the other side sent something else: do both use the same codec?",
  ERR_FRAME_TRUNCATED: "the other side ended within a message: is its --framing the same?",
};

/** Hints of commands that know more of an error than its code. */
const OWN_HINTS = new WeakMap<Error, string>();

/** Has {@linkcode hintFor} return `hint` for this error, in place of what its code alone says. */
export function addHint(error: Error, hint: string): void {
  OWN_HINTS.set(error, hint);
}

/** Lines of commands that report more of an error than its text. */
const DETAILS = new WeakMap<Error, readonly string[]>();

/** Has {@linkcode sayFailure} say these lines behind the text of this error. */
export function addDetails(error: Error, lines: readonly string[]): void {
  DETAILS.set(error, lines);
}

/** What to try after an error; `null` where there is nothing to say. */
export function hintFor(error: unknown): string | null {
  const own = error instanceof Error ? OWN_HINTS.get(error) : undefined;
  if (own !== undefined) return own;
  // What failed all the time is behind what took too long.
  if (error instanceof TimeoutError && error.cause instanceof ParleyError) {
    return hintFor(error.cause);
  }
  if (error instanceof ParleyError) return HINTS[error.code] ?? protocolHint(error.code);
  if (error instanceof Deno.errors.NotFound) return "check that the path is right";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "check who may read and write it: ls -l";
  }
  return null;
}

function protocolHint(code: string): string | null {
  if (!/^ERR_(?:MUX|WIRE|IPC|CALL)_/.test(code)) return null;
  return "the other side breaks the protocol: is it Parley, of a matching version, and reached directly?";
}

/** Says what failed in the command that was `typed`, why, and what to try. */
export function sayFailure(typed: string, error: unknown): void {
  say(`${typed}: ${textOf(error)}`, "error");
  for (const line of error instanceof Error ? DETAILS.get(error) ?? [] : []) {
    say(escapeForTerminal(line, true), "error");
  }
  if (error instanceof TimeoutError && error.cause instanceof ParleyError) {
    say(`Reason: ${textOf(error.cause)}`, "error");
  }
  const hint = hintFor(error);
  if (hint !== null) say(`Hint: ${hint}`, "error");
}

/** The message of an error; a peer may have chosen a part of it. */
function textOf(error: unknown): string {
  return escapeForTerminal(error instanceof Error ? error.message : String(error), true);
}
