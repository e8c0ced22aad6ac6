// Options of mount, join and hub: what they are, their defaults, and their check before any I/O.
import type { ReconnectOptions } from "../async/backoff.ts";
import { RECONNECT_NAMES } from "../client/option_names.ts";
import type { AdmissionOptions } from "../limits/admission_options.ts";
import type { OptionNames } from "../options/names.ts";
import {
  ADMISSION_NAMES,
  PENALTIES_NAMES,
  PROXY_PROTOCOL_NAMES,
  SOURCE_EXEMPTIONS_NAMES,
} from "../limits/option_names.ts";
import type { PenaltiesOptions } from "../limits/penalties.ts";
import type { ProxyProtocolOptions } from "../net/transport/proxy_sources.ts";
import type { SourceExemptionsOptions } from "../limits/source_exemptions.ts";
import type { Logger } from "../log/logger.ts";
import { MUX_SESSION_NAMES } from "../mux/option_names.ts";
import type { MuxSessionOptions } from "../mux/options.ts";
import type { Address } from "../net/transport/transport.ts";
import { CLIENT_TLS_NAMES, SERVER_TLS_NAMES } from "../tls/option_names.ts";
import type { ClientTlsOptions, ServerTlsOptions } from "../tls/handshake/options.ts";
import type { WireErrorContext } from "./observe/reporter.ts";
import type { Authorize } from "./session/authorize.ts";
import type { StreamHandler } from "./session/handlers.ts";
import type { WireSession } from "./session/session.ts";

/** Options that both sides have. */
export interface WireOptions {
  /** Handlers by name, from the start; `handle` adds more. */
  handlers?: Readonly<Record<string, StreamHandler>> | undefined;
  /** Called when a session begins. */
  onOpen?: ((session: WireSession) => void) | undefined;
  /** Called when a session is over; `error` is absent after an orderly end. */
  onClose?: ((session: WireSession, error: Error | undefined) => void) | undefined;
  /** Called when a peer handles other names than before: see `session.offers`. */
  onOffers?: ((session: WireSession) => void) | undefined;
  /** Takes errors that have no caller. @default {the logger} */
  onError?: ((error: unknown, context: WireErrorContext) => void) | undefined;
  /** Takes these errors otherwise, and events. @default {the console} */
  logger?: Logger | undefined;
  /**
   * Handlers that may run for one session at a time. Further streams wait up to five seconds, and are then
   * refused with `ERR_BUSY`.
   *
   * @default {256} as many streams as a peer may open; as many as its hub allows a pair, if that is more
   */
  maxHandlers?: number | undefined;
  /** Limits of the streams and the keepalive: see `MuxSessionOptions`. */
  mux?: Omit<MuxSessionOptions, "role"> | undefined;
  /** Abort closes in order. */
  signal?: AbortSignal | undefined;
}

/** Options of {@linkcode mount}. */
export interface MountOptions extends WireOptions, AdmissionOptions, SourceExemptionsOptions {
  /** Name or address to listen on. @default {"127.0.0.1"} never all interfaces by accident */
  hostname?: string | undefined;
  /** Port; 0 picks a free one. @default {0} */
  port?: number | undefined;
  /** Path of a unix socket to listen on instead. */
  path?: string | undefined;
  /** Permission bits of the socket's file. @default {0o600} */
  mode?: number | undefined;
  /** Certificates; without them the connections are plain, and tokens can be read on the way. */
  tls?: ServerTlsOptions | undefined;
  /** Who may join, and open which stream. Without it no peer may. */
  authorize?: Authorize | undefined;
  /** Lets every peer in that can connect, and open any stream, in place of `authorize`. @default {false} */
  insecureAnyone?: boolean | undefined;
  /** Read the PROXY protocol header of balancers; see `ServeOptions`. @default {no header is read} */
  proxyProtocol?: ProxyProtocolOptions | undefined;
  /** Time in ms for TLS, HELLO and WELCOME together. @default {5000} */
  handshakeTimeoutMs?: number | undefined;
  /** Refusal of sources whose handshakes failed. */
  penalties?: PenaltiesOptions | undefined;
  /** Connections that the kernel may hold before they are accepted. @default {511} as for `serve` */
  backlog?: number | undefined;
  /**
   * Time in ms between the moment at which a close is asked for, and the wire is not ready any more
   * (state `"leaving"`, `/readyz` 503), and its drain. Meanwhile peers join and streams open as
   * before.
   *
   * @default {0} no balancer is known of
   */
  drainDelayMs?: number | undefined;
}

/** Options of {@linkcode join}. */
export interface JoinOptions extends WireOptions {
  /** Name or address to connect to. @default {"127.0.0.1"} */
  hostname?: string | undefined;
  /** Port to connect to. */
  port?: number | undefined;
  /** Path of a unix socket to connect to instead. */
  path?: string | undefined;
  /** Whom to trust, and who we are; without it the connection is plain. */
  tls?: ClientTlsOptions | undefined;
  /** Kind of address, as in `wire.addr`; not needed. */
  transport?: Address["transport"] | undefined;
  /** Who we are: 1 to 255 characters of printable ASCII without spaces. */
  identity: string;
  /** What proves it; goes over the connection as it is, so use TLS. @default {""} */
  token?: string | undefined;
  /** Time in ms for all of one attempt: dialling, TLS, HELLO and WELCOME. @default {10000} */
  timeoutMs?: number | undefined;
  /** When to try again, or `false` to stay closed once the session is lost, or cannot be had. */
  reconnect?: ReconnectOptions | false | undefined;
  /** Which streams the server, or others through it, may open here. @default {all that are handled} */
  authorize?: Authorize | undefined;
  /** Called before each further attempt. */
  onRetry?:
    | ((
      info: { readonly attempt: number; readonly delayMs: number; readonly error: unknown },
    ) => void)
    | undefined;
  /** Called when the hub announces who is there: see `wire.peers`. */
  onPeers?: ((peers: ReadonlyMap<string, readonly string[]>) => void) | undefined;
}

/** Names in {@linkcode WireOptions}. */
export const WIRE_NAMES: OptionNames<WireOptions> = {
  handlers: true,
  onOpen: true,
  onClose: true,
  onOffers: true,
  onError: true,
  logger: true,
  maxHandlers: true,
  mux: MUX_SESSION_NAMES,
  signal: true,
};

/** Names in {@linkcode MountOptions}. */
export const MOUNT_NAMES: OptionNames<MountOptions> = {
  ...WIRE_NAMES,
  ...ADMISSION_NAMES,
  ...SOURCE_EXEMPTIONS_NAMES,
  hostname: true,
  port: true,
  path: true,
  mode: true,
  tls: SERVER_TLS_NAMES,
  authorize: true,
  insecureAnyone: true,
  proxyProtocol: PROXY_PROTOCOL_NAMES,
  drainDelayMs: true,
  handshakeTimeoutMs: true,
  penalties: PENALTIES_NAMES,
  backlog: true,
};

/** Names in {@linkcode JoinOptions}. */
export const JOIN_NAMES: OptionNames<JoinOptions> = {
  ...WIRE_NAMES,
  hostname: true,
  port: true,
  path: true,
  tls: CLIENT_TLS_NAMES,
  transport: true,
  identity: true,
  token: true,
  timeoutMs: true,
  reconnect: RECONNECT_NAMES,
  authorize: true,
  onRetry: true,
  onPeers: true,
};
