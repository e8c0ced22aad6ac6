// withTlsHint(): adds to an error what to do about TLS, where one side uses it and the other does not.
import { AddressError, ParleyError, type ParleyErrorCode, TlsError } from "../../errors.ts";
import { fetchCertificates } from "../../tls/mod.ts";
import type { TypedAddress } from "../command/address.ts";
import { addHint } from "./hints.ts";

/** Longest look at what is there, in ms: people wait for the command to end. */
const LOOK_MS = 2000;

/** Codes of a connection without TLS that may have met a side with it, beside those of broken protocols. */
const PLAIN_CODES: ReadonlySet<ParleyErrorCode> = new Set([
  "ERR_CLOSED",
  "ERR_CONNECT_TIMEOUT",
  "ERR_FRAME_MALFORMED",
  "ERR_FRAME_TOO_LARGE",
  "ERR_FRAME_TRUNCATED",
  "ERR_GOING_AWAY",
  "ERR_HANDSHAKE_TIMEOUT",
  "ERR_IDLE_TIMEOUT",
  "ERR_NOT_OUR_PROTOCOL",
  "ERR_READ_TIMEOUT",
  "ERR_RESET",
]);

/** Codes of a connection with TLS that may have met a side without it. */
const TLS_CODES: ReadonlySet<ParleyErrorCode> = new Set([
  "ERR_CLOSED",
  "ERR_CONNECT_TIMEOUT",
  "ERR_HANDSHAKE_TIMEOUT",
  "ERR_NOT_OUR_PROTOCOL",
  "ERR_RESET",
  "ERR_TLS_HANDSHAKE",
]);

/** What to do at a server with TLS. */
const GIVE =
  "the other side speaks TLS: add --tls, or --ca FILE where an authority of your own signed its certificate";

/** What to do at a server without TLS. */
const LEAVE_OUT =
  "the other side answers no TLS handshake: leave out --tls, --ca and --cert, or have it use TLS";

/** Where a connection went, and whether by TLS. */
export interface TlsSituation {
  readonly address: TypedAddress;
  /** `undefined` for none. */
  readonly tls: unknown;
}

/**
 * Returns the error, with a hint where only one side speaks TLS. What failed says too little of
 * that: so the address is looked at by a TLS handshake of its own, once, and only for errors that
 * may come of it.
 */
export async function withTlsHint(error: unknown, situation: TlsSituation): Promise<unknown> {
  if (!mayConcernTls(error, situation)) return error;
  const hint = await oneSidedTlsHint(situation);
  if (hint !== null) addHint(error, hint);
  return error;
}

/** Waits for `work`; what it rejects with has the hint of {@linkcode withTlsHint}. */
export async function failsWithTlsHint<Result>(
  work: Promise<Result>,
  situation: TlsSituation,
): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    throw await withTlsHint(error, situation);
  }
}

/** Returns what to do where only one side speaks TLS; `null` where that is not so, or cannot be found out. */
export async function oneSidedTlsHint({ address, tls }: TlsSituation): Promise<string | null> {
  const speaks = await speaksTls(address);
  if (speaks === null || speaks === (tls !== undefined)) return null;
  return speaks ? GIVE : LEAVE_OUT;
}

/** Whether an error may come of TLS on one side only. */
export function mayConcernTls(error: unknown, { tls }: TlsSituation): error is ParleyError {
  if (!(error instanceof ParleyError)) return false;
  if (tls !== undefined) return TLS_CODES.has(error.code);
  return PLAIN_CODES.has(error.code) || /^ERR_(?:MUX|WIRE)_/.test(error.code);
}

/** Whether what listens there speaks TLS; `null` when nothing listens there. */
async function speaksTls(address: TypedAddress): Promise<boolean | null> {
  try {
    await fetchCertificates({ ...address, timeoutMs: LOOK_MS });
    return true;
  } catch (error) {
    if (error instanceof AddressError) return null;
    // An alert is an answer of TLS, too.
    return error instanceof TlsError && /alert/i.test(`${error.message} ${String(error.cause)}`);
  }
}
