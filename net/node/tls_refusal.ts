// refuseByAlert(): ends a TLS session of node:tls so that the peer knows that it was refused.
import type { TLSSocket } from "node:tls";
import { watchWait } from "../../async/wait.ts";
import { type NodeLink, nothing } from "./node_link.ts";

/** How long a refused peer may take to read the alert and leave, in ms. Its descriptor is held as long. */
const REFUSAL_MS = 250;

/**
 * A change_cipher_spec (RFC 5246, section 7.1) in a record of its own: no peer may send it after
 * the handshake.
 */
const FORBIDDEN_RECORD = new Uint8Array([0x14, 3, 3, 0, 1, 1]);

/**
 * The part of node:tls's handles that is used here. It is not public;
 * `tests/net/node/tls_refusal_test.ts` watches over it.
 */
interface EngineHandle {
  /** Receives bytes as if the peer had sent them. */
  receive(bytes: Uint8Array): void;
}

/**
 * Ends a session whose handshake is done by a fatal alert, so that the peer knows that it was
 * refused and that the network is well.
 *
 * The platform has no call that sends an alert, but sends one when it receives a forbidden record.
 * So it receives one here, as if from the peer. RFC 8446, section 5: a change_cipher_spec after the
 * handshake must be answered by the alert unexpected_message; TLS 1.2 without renegotiation does
 * the same. Resolves when the peer has left, or had time to read the alert.
 */
export async function refuseByAlert(
  link: NodeLink,
  session: TLSSocket,
  signal: AbortSignal,
): Promise<void> {
  session.on("error", nothing);
  const { promise, resolve } = Promise.withResolvers<void>();
  const onEnd = () => resolve();
  const stop = watchWait({ signal, timeoutMs: REFUSAL_MS }, { cancel: onEnd });
  link.socket.once("close", onEnd);
  link.onEnd = onEnd;
  try {
    (session as unknown as { _handle: EngineHandle })._handle.receive(FORBIDDEN_RECORD);
    await promise;
  } catch {
    // The session ends without an alert then.
  } finally {
    stop();
  }
}
