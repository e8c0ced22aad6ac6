// @ts-types="./early_zip_readable_streams.d.ts"
export * from "npm:deno-std@1.4.0/streams/early_zip_readable_streams.js";
