// Opens the client's end of a link: dials, proves who we are, and hears from the other side that we are in.
import { AuthError, ClosedError, type ParleyError, TimeoutError } from "../errors.ts";
import { escapeForLog } from "../log/text.ts";
import type { Transport } from "../net/transport/transport.ts";
import { measure, serverLabels, telemetryOn } from "../stats/telemetry/telemetry.ts";
import type { ClientTlsOptions } from "../tls/handshake/options.ts";
import type { IpcAnswer } from "./link/incoming_queries.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import { IpcLink } from "./link/link.ts";
import { breachOf } from "./link/link_ends.ts";
import type { LinkSlot } from "./current_link.ts";
import { dialEndpoint } from "./endpoint/network.ts";
import type { ResolvedIpcOptions } from "./options.ts";
import type { IpcQueryContext } from "./link/query_context.ts";
import type { SecretSource } from "./endpoint/secrets.ts";
import { secure } from "./secure/secure_link.ts";

/** Answers queries; an empty answer is an answer. The context's signal aborts when the asker no longer waits. */
export type IpcQueryHandler = (
  data: Uint8Array,
  context: IpcQueryContext,
) => IpcAnswer | Promise<IpcAnswer>;

/** What {@linkcode openLink} works with. */
export interface OpenLinkOptions {
  readonly resolved: ResolvedIpcOptions;
  readonly endpoint: Endpoint;
  readonly secrets: SecretSource;
  readonly tls: ClientTlsOptions | undefined;
  readonly onQuery: IpcQueryHandler | undefined;
  /** Where its messages go. */
  readonly slot: LinkSlot;
}

/** Makes one attempt. */
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
    context: resolved.context,
    secrets: secretsNow,
    encryption: resolved.encryption,
    maxRecordBytes: resolved.maxRecordBytes,
    maxMessageBytes: resolved.maxMessageBytes,
    timeoutMs: resolved.handshakeTimeoutMs,
    signal,
    onFailure: (reason) =>
      resolved.reporter.debug(`A handshake failed: ${reason}`, {
        endpoint: endpoint.kind,
        tls: tls !== undefined,
      }),
  });
  const link = new IpcLink(frames, linkOptions(resolved, options.slot, options.onQuery));
  link.start();
  await confirmInTime(link, options, signal);
  return link;
}

/** Options of a link whose messages go to a slot. */
export function linkOptions(
  resolved: ResolvedIpcOptions,
  slot: LinkSlot,
  onQuery: IpcQueryHandler | undefined,
): ConstructorParameters<typeof IpcLink>[1] {
  return {
    ...resolved.link,
    onQuery,
    inbox: slot.inbox,
    onHandlerError: (error) => {
      slot.tally.counters.handlerErrors++;
      resolved.reporter.report(error, "query");
    },
  };
}

/** TLS has no deadline of its own. */
async function dialInTime(options: OpenLinkOptions, signal: AbortSignal): Promise<Transport> {
  const { resolved: { action, handshakeTimeoutMs }, endpoint, tls } = options;
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => controller.abort(handshakeTimeout(handshakeTimeoutMs)), handshakeTimeoutMs);
  try {
    signal.throwIfAborted();
    return await dialEndpoint(action, endpoint, { tls, signal: controller.signal });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** The other side may be as full as it can be, or have hung up: only its answer says that we are in. */
async function confirmInTime(
  link: IpcLink,
  { resolved, slot }: OpenLinkOptions,
  signal: AbortSignal,
): Promise<void> {
  const { handshakeTimeoutMs, anonymous, encryption } = resolved;
  const timer = setTimeout(() => link.abort(handshakeTimeout(handshakeTimeoutMs)), handshakeTimeoutMs);
  const onAbort = () => link.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await link.pings.enter();
  } catch {
    const end = await link.closed;
    const { error } = end;
    if (signal.aborted) throw signal.reason;
    if (breachOf(end) !== null) slot.tally.counters.protocolErrors++;
    const isReset = (error as ParleyError | null)?.code === "ERR_RESET";
    // Without proofs, this is how a side that wants them turns us away.
    if (anonymous && encryption === false && isReset) {
      throw new AuthError("ERR_AUTH", "Cannot connect: the other side wants a secret");
    }
    if (isReset) throw endedAtOnce(encryption, error);
    throw error ?? new ClosedError("ERR_GOING_AWAY", "Cannot connect: the other side closes");
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** The secret is right. What the other side cannot open, it ends without a word. */
function endedAtOnce(encryption: ResolvedIpcOptions["encryption"], cause: unknown): ClosedError {
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
