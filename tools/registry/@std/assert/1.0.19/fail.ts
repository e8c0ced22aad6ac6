// @ts-types="./fail.d.ts"
export * from "npm:deno-std@1.4.0/assert/fail.js";
