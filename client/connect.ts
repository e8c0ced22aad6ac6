// connect(): one connection, dialled under one deadline.
import { checkOptionNames } from "../options/names.ts";
import { CONNECT_NAMES, CONNECT_TRANSPORT_NAMES } from "./option_names.ts";
import { Connection } from "../connection.ts";
import type { ConnectionSetup } from "../connection/types.ts";
import { TimeoutError } from "../errors.ts";
import { dial, type DialStage } from "../net/dial.ts";
import { DeadlineSignal, unlessAborted } from "../async/deadline.ts";
import { hungAt } from "../net/socket/stages.ts";
import type { Transport } from "../net/transport/transport.ts";
import {
  loadTelemetry,
  lookForTelemetry,
  measure,
  observeCounters,
  peerDetails,
  serverLabels,
  telemetryOn,
  tlsLabels,
} from "../stats/telemetry/telemetry.ts";
import { resolveClientTls } from "../tls/load.ts";
import {
  type ConnectOptions,
  type ConnectTransportOptions,
  resolveConnectOptions,
  resolveConnectTransportOptions,
  type ResolvedConnectOptions,
  type ResolvedConnectTransportOptions,
} from "./options.ts";

/**
 * Connects to a server. One deadline holds for all of it: reading certificate files, dialling and
 * the TLS handshake.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 * @throws {AddressError} `ERR_CONNECT_REFUSED` when nothing listens there, `ERR_ADDRESS_INVALID`
 * when it cannot be reached
 * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it took longer than `timeoutMs`; its text says
 * what hung: the name, TCP or TLS
 * @throws {TlsError} when the handshake failed, or the server's certificate cannot be trusted
 *
 * @example
 * ```ts
 * import { connect, delimited, serve } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * const framing = delimited("\n");
 * await using server = serve({ framing }, async (conn) => await conn.send("Hello!"));
 * await server.ready;
 *
 * await using conn = await connect({ ...server.addr, framing, timeoutMs: 3_000 });
 * assertEquals(await conn.receive(), new TextEncoder().encode("Hello!"));
 * assertEquals(await conn.receive(), null);
 * ```
 */
export async function connect<Data = unknown>(
  options: ConnectOptions<Data>,
): Promise<Connection<Data>> {
  checkOptionNames("Cannot connect", options, CONNECT_NAMES);
  const resolved = resolveConnectOptions(options);
  const connection = await establish(resolved, {});
  if (telemetryOn()) observe(connection, resolved);
  return connection;
}

/**
 * Connects as {@linkcode connect} does, and returns the bytes without messages around them: what
 * `MuxSession` and `Connection` stand on, for a protocol that is not Parley's own. The caller
 * closes the transport, or lets the session on it do so.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 * @throws {AddressError} `ERR_CONNECT_REFUSED` when nothing listens there, `ERR_ADDRESS_INVALID`
 * when it cannot be reached
 * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it took longer than `timeoutMs`
 * @throws {TlsError} when the handshake failed, or the server's certificate cannot be trusted
 *
 * @example
 * ```ts
 * import { connectTransport, listenTransport } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = listenTransport();
 * await listener.ready;
 *
 * const near = await connectTransport({ ...listener.addr, timeoutMs: 3_000 });
 * const far = await listener.accept();
 * await near.write(new TextEncoder().encode("bytes"));
 * assertEquals(await far?.read(), new TextEncoder().encode("bytes"));
 * near.close();
 * far?.close();
 * ```
 */
export async function connectTransport(options: ConnectTransportOptions): Promise<Transport> {
  checkOptionNames("Cannot connect", options, CONNECT_TRANSPORT_NAMES);
  return await dialInTime(resolveConnectTransportOptions(options), options.signal);
}

/** Dials, and makes a connection of the transport. */
export async function establish<Data>(
  options: ResolvedConnectOptions<Data>,
  setup: ConnectionSetup<Data>,
  signal: AbortSignal | undefined = options.given.signal,
): Promise<Connection<Data>> {
  if (lookForTelemetry()) await loadTelemetry();
  const transport =
    await (telemetryOn() ? dialMeasured(options, signal) : dialInTime(options, signal));
  try {
    return new Connection<Data>(transport, {
      resolved: options.connection,
      data: options.given.data,
      ...setup,
    });
  } catch (error) {
    transport.close();
    throw error;
  }
}

function dialMeasured<Data>(
  options: ResolvedConnectOptions<Data>,
  signal: AbortSignal | undefined,
): Promise<Transport> {
  return measure({
    name: "connect",
    kind: "client",
    labels: { "parley.protocol": "messages", ...serverLabels(options.target) },
    duration: "parley.connect.duration",
  }, async (measured) => {
    const transport = await dialInTime(options, signal);
    measured.add(tlsLabels(transport.tls), peerDetails(transport.remoteAddr));
    return transport;
  });
}

/** Exports the counters of a connection that belongs to no client or server. */
function observe<Data>(
  connection: Connection<Data>,
  { target }: ResolvedConnectOptions<Data>,
): void {
  const labels = {
    "parley.protocol": "messages",
    "parley.role": "client",
    ...serverLabels(target),
  };
  const unobserve = observeCounters(labels, () => {
    const { state, bytesIn, bytesOut, messagesIn, messagesOut } = connection.stats();
    const connectionsClosed = state === "closed" ? 1 : 0;
    return { bytesIn, bytesOut, messagesIn, messagesOut, connectionsOpened: 1, connectionsClosed };
  });
  void connection.closed.then(unobserve);
}

/** Dials under the deadline. When it passes, or `signal` aborts, it closes what it has opened. */
async function dialInTime(
  options: ResolvedConnectTransportOptions,
  signal: AbortSignal | undefined,
): Promise<Transport> {
  const { targetText, timeoutMs } = options;
  signal?.throwIfAborted();
  let stage: DialStage | "files" = "files";
  const late = () => {
    const text = `Cannot connect to ${targetText} within ${timeoutMs} ms: ${hungAt(stage)}`;
    return new TimeoutError("ERR_CONNECT_TIMEOUT", text);
  };
  // Waits for the attempt's own end: nothing of it is left when this rejects, and a client never
  // dials twice at a time.
  using deadline = new DeadlineSignal({ signal, timeoutMs, late });
  return await dialTarget(options, deadline.signal, (next) => stage = next);
}

async function dialTarget(
  { given, target, noDelay, keepAlive }: ResolvedConnectTransportOptions,
  signal: AbortSignal,
  onStage: (stage: DialStage) => void,
): Promise<Transport> {
  const tls = given.tls === undefined
    ? undefined
    : await unlessAborted(resolveClientTls(given.tls), signal);
  const transport = await dial({ ...target, tls }, {
    signal,
    noDelay,
    keepAlive,
    canReset: given.canReset,
    onStage,
  });
  if (!signal.aborted) return transport;
  transport.close();
  throw signal.reason;
}
