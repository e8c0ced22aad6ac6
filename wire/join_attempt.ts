// attemptJoin(): one attempt to join: dials, and performs the handshake.
import { withDeadline } from "../async/deadline.ts";
import type { ResolvedConnectOptions } from "../client/options.ts";
import { TimeoutError } from "../errors.ts";
import { dial, type DialStage } from "../net/dial.ts";
import { hungAt } from "../net/socket/stages.ts";
import {
  loadTelemetry,
  lookForTelemetry,
  serverLabels,
  telemetryOn,
} from "../stats/telemetry/telemetry.ts";
import { resolveClientTls } from "../tls/load.ts";
import type { resolveWire } from "./plan.ts";
import type { EstablishedSession } from "./session/established.ts";
import { handshakeAsClient } from "./session/handshake.ts";
import { joinMeasured } from "./session/telemetry.ts";

/** What {@linkcode attemptJoin} needs. */
export interface JoinAttempt {
  /** Where the server is, and how to dial it. */
  readonly connect: ResolvedConnectOptions<unknown>;
  /** What this side takes. */
  readonly wire: ReturnType<typeof resolveWire>;
  /** Name of this side. */
  readonly identity: string;
  /** Proof of the name, `""` for none. */
  readonly token: string;
  /** Names that this side handles, as they are when it greets the server. */
  readonly names: () => readonly string[];
}

/**
 * Makes one attempt to join, within the `timeoutMs` of the connection.
 *
 * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT`, which says what hung
 * @throws {ParleyError} as the dial and the handshake do
 */
export async function attemptJoin(
  attempt: JoinAttempt,
  signal: AbortSignal,
): Promise<EstablishedSession> {
  if (lookForTelemetry()) await loadTelemetry();
  const join = () => dialAndGreet(attempt, signal);
  if (!telemetryOn()) return await join();
  return await joinMeasured(serverLabels(attempt.connect.target), attempt.identity, join);
}

async function dialAndGreet(
  attempt: JoinAttempt,
  signal: AbortSignal,
): Promise<EstablishedSession> {
  const { connect, wire, identity, token, names } = attempt;
  const { target, targetText, timeoutMs, noDelay, keepAlive, given } = connect;
  let at = hungAt("files");
  const onStage = (stage: DialStage) => at = hungAt(stage);
  const late = (ms: number) =>
    new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot join ${targetText} within ${ms} ms: ${at}`);
  return await withDeadline({ signal, timeoutMs, late }, async (signal) => {
    const tls = given.tls === undefined ? undefined : await resolveClientTls(given.tls);
    const transport = await dial({ ...target, tls }, { signal, noDelay, keepAlive, onStage });
    at = "the hub has not answered the greeting";
    if (signal.aborted) {
      transport.close();
      throw signal.reason;
    }
    return await handshakeAsClient(transport, { identity, token, streams: names() }, {
      ...wire,
      signal,
    });
  });
}
