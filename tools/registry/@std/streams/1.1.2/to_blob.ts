// @ts-types="./to_blob.d.ts"
export * from "npm:deno-std@1.4.0/streams/to_blob.js";
