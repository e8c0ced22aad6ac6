// The names of all options that TLS has.
import type { OptionNames } from "../options/names.ts";
import type {
  ClientTlsOptions,
  ServerTlsOptions,
  TlsCommonOptions,
  TlsIdentity,
} from "./handshake/options.ts";

/** Names in {@linkcode TlsCommonOptions}. */
export const TLS_COMMON_NAMES: OptionNames<TlsCommonOptions> = {
  minVersion: true,
  maxVersion: true,
  alpnProtocols: true,
  backend: true,
};

/** Names in {@linkcode TlsIdentity}. */
export const TLS_IDENTITY_NAMES: OptionNames<TlsIdentity> = {
  cert: true,
  key: true,
  certFile: true,
  keyFile: true,
  watch: true,
};

/** Names in {@linkcode ServerTlsOptions}; those in each of `sni` are checked with the names. */
export const SERVER_TLS_NAMES: OptionNames<ServerTlsOptions> = {
  ...TLS_COMMON_NAMES,
  ...TLS_IDENTITY_NAMES,
  clientCa: true,
  clientCaFile: true,
  sni: true,
  pin: true,
};

/** Names in {@linkcode ClientTlsOptions}. */
export const CLIENT_TLS_NAMES: OptionNames<ClientTlsOptions> = {
  ...TLS_COMMON_NAMES,
  ...TLS_IDENTITY_NAMES,
  caCerts: true,
  caFile: true,
  serverName: true,
  pin: true,
};
