// @ts-types="./to_array_buffer.d.ts"
export * from "npm:deno-std@1.4.0/streams/to_array_buffer.js";
