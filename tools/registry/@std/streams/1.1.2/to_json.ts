// @ts-types="./to_json.d.ts"
export * from "npm:deno-std@1.4.0/streams/to_json.js";
