// What every command that listens tells: where it does, in a form that people and scripts can wait for.
import type { Address } from "../net/transport.ts";
import { addressText } from "./address.ts";
import { print, say } from "./talk.ts";

/** Says where a command listens; with `json` also as an object on standard output. */
export function tellListening(address: Address, { json }: { readonly json: boolean }): void {
  const text = addressText(address);
  say(`listening on ${text}`);
  if (json) print(JSON.stringify({ event: "listening", address: text }));
}
