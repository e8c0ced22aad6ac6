// @ts-types="./byte_slice_stream.d.ts"
export * from "npm:deno-std@1.4.0/streams/byte_slice_stream.js";
