// openLink(): dials, performs the handshake, and waits until the other side has let us in.
import { DeadlineSignal, withDeadline } from "../async/deadline.ts";
import { AuthError, ClosedError, type ParleyError, TimeoutError } from "../errors.ts";
import { escapeForLog } from "../log/text.ts";
import type { Transport } from "../net/transport/transport.ts";
import { measure, serverLabels, telemetryOn } from "../stats/telemetry/telemetry.ts";
import type { ClientTlsOptions } from "../tls/handshake/options.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import { IpcLink } from "./link/link.ts";
import { breachOf } from "./observe/link_outcomes.ts";
import { dialEndpoint } from "./endpoint/network.ts";
import type { LinkOptions } from "./link/options.ts";
import type { IpcTally } from "./observe/tally.ts";
import type { HandshakeOptions, ResolvedIpcOptions } from "./options.ts";
import type { SecretSource } from "./endpoint/secrets.ts";
import { secure } from "./secure/secure_link.ts";

/** Options of {@linkcode openLink}. */
export interface OpenLinkOptions {
  readonly resolved: ResolvedIpcOptions;
  readonly endpoint: Endpoint;
  readonly secrets: SecretSource;
  readonly tls: ClientTlsOptions | undefined;
  readonly linkOptions: LinkOptions;
  readonly tally: IpcTally;
}

/** Makes one attempt to open a link. */
export function openLink(options: OpenLinkOptions, signal: AbortSignal): Promise<IpcLink> {
  if (!telemetryOn()) return open(options, signal);
  const { resolved: { link: { channel } }, endpoint } = options;
  return measure({
    name: "connect",
    kind: "client",
    labels: { "parley.protocol": "ipc", "parley.ipc.channel": channel, ...serverLabels(endpoint) },
    duration: "parley.connect.duration",
  }, () => open(options, signal));
}

async function open(options: OpenLinkOptions, signal: AbortSignal): Promise<IpcLink> {
  const { resolved, endpoint, secrets, tls } = options;
  const secretsNow = await secrets.get("client");
  const transport = await dialInTime(options, signal);
  const frames = await secure(transport, {
    role: "client",
    ...resolved.handshake,
    secrets: secretsNow,
    timeoutMs: resolved.handshakeTimeoutMs,
    signal,
    onFailure: (reason) =>
      resolved.reporter.debug(`A handshake failed: ${reason}`, {
        endpoint: endpoint.kind,
        tls: tls !== undefined,
      }),
  });
  const link = new IpcLink(frames, options.linkOptions);
  link.start();
  await confirmInTime(link, options, signal);
  return link;
}

/**
 * Dials within the time of a handshake, because TLS has no deadline of its own. Waits until the
 * attempt has ended.
 */
async function dialInTime(options: OpenLinkOptions, signal: AbortSignal): Promise<Transport> {
  const { resolved: { action, handshakeTimeoutMs: timeoutMs }, endpoint, tls } = options;
  signal.throwIfAborted();
  using deadline = new DeadlineSignal({ signal, timeoutMs, late: handshakeTimeout });
  return await dialEndpoint(action, endpoint, { tls, signal: deadline.signal });
}

/**
 * Waits until the other side has let this side in. It may be full or closing: only its answer says
 * that it is not.
 */
async function confirmInTime(
  link: IpcLink,
  { resolved, tally }: OpenLinkOptions,
  signal: AbortSignal,
): Promise<void> {
  const { handshakeTimeoutMs: timeoutMs, anonymous, handshake: { encryption } } = resolved;
  try {
    await withDeadline({ signal, timeoutMs, late: handshakeTimeout }, () => link.pings.enter());
  } catch (reason) {
    link.abort(reason as Error); // changes nothing when the link has ended by itself
    const end = await link.closed;
    const { error } = end;
    if (signal.aborted) throw signal.reason;
    if (breachOf(end) !== null) tally.counters.protocolErrors++;
    const isReset = (error as ParleyError | null)?.code === "ERR_RESET";
    // A side that wants a secret ends the connection when this side has none.
    if (anonymous && encryption === false && isReset) {
      throw new AuthError("ERR_AUTH", "Cannot connect: the other side wants a secret");
    }
    if (isReset) throw endedAtOnce(encryption, error);
    throw error ?? new ClosedError("ERR_GOING_AWAY", "Cannot connect: the other side closes");
  }
}

/** The secret is right. What the other side cannot open, it ends without a word. */
function endedAtOnce(encryption: HandshakeOptions["encryption"], cause: unknown): ClosedError {
  const why = typeof encryption === "boolean"
    ? "its program ended the connection, or what is between the two changed what was sent"
    : `it cannot open what the provider "${
      escapeForLog(encryption.name)
    }" seals: both sides need the same provider`;
  return new ClosedError(
    "ERR_RESET",
    `Cannot connect: the other side ended the connection right after the handshake: ${why}`,
    { cause },
  );
}

function handshakeTimeout(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_HANDSHAKE_TIMEOUT",
    `Cannot connect: the other side did not do its part within ${timeoutMs} ms`,
  );
}
