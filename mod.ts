// The public face of Parley.
export * from "./errors.ts";
export type * from "./logger.ts";
export * from "./net/transport.ts";
