// Hints: what to try next, by the code of the error.
import { ParleyError } from "../errors.ts";

const HINTS: Readonly<Record<string, string>> = {
  ERR_ADDRESS_IN_USE: "another program listens there; choose another address, or port 0 for a free one",
  ERR_CERT_EXPIRED: 'see its dates with "parley cert show FILE"; make a new one with "parley cert server"',
  ERR_CERT_KEY_MISMATCH: "give the key that the certificate was made with",
  ERR_CERT_UNTRUSTED: "give the certificate of the authority that signed it with --ca FILE",
  ERR_CERT_WRONG_HOST:
    'give a name that the certificate holds with --server-name; see them with "parley cert show FILE"',
  ERR_CONNECT_REFUSED: "nothing listens there: is the server running, and is this its address?",
  ERR_CONNECT_TIMEOUT: "is the address right, and does a firewall let it through?",
  ERR_FRAME_TOO_LARGE: "allow more with --max-message, or see that both sides use the same --framing",
  ERR_FRAME_MALFORMED:
    "see that both sides use the same --framing; messages that hold line feeds want another --out-framing",
  ERR_NOT_OUR_PROTOCOL: "something else listens there",
  ERR_AUTH: "see that the token or key is the one that the other side wants",
  ERR_TLS_HANDSHAKE: "see that both sides use TLS; a client certificate may be wanted: --cert and --key",
};

/** What to try after an error; `null` where there is nothing to say. */
export function hintFor(error: unknown): string | null {
  if (error instanceof ParleyError) return HINTS[error.code] ?? null;
  if (error instanceof Deno.errors.NotFound) return "see that the path is right";
  if (error instanceof Deno.errors.PermissionDenied) return "see who may read and write it: ls -l";
  return null;
}
