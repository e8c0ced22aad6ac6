// @ts-types="./to_transform_stream.d.ts"
export * from "npm:deno-std@1.4.0/streams/to_transform_stream.js";
