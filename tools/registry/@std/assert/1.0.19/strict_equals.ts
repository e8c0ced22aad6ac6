// @ts-types="./strict_equals.d.ts"
export * from "npm:deno-std@1.4.0/assert/strict_equals.js";
