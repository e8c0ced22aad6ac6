// @ts-types="./equal.d.ts"
export * from "npm:deno-std@1.4.0/assert/equal.js";
