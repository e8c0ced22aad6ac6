// @ts-types="./text_delimiter_stream.d.ts"
export * from "npm:deno-std@1.4.0/streams/text_delimiter_stream.js";
