// What every command that listens prints: its address, in a form that people and scripts can wait for, and
// that it ends.
import type { Address } from "../../net/transport/transport.ts";
import { addressText } from "../command/address.ts";
import { count, duration, print, say } from "./talk.ts";
import { jsonText } from "./json_text.ts";

/**
 * Says where a command listens; with `json` also as an object on standard output. `leadsTo` is what
 * is reached there, of a command that listens at several places.
 */
export function tellListening(
  address: Address,
  { json, leadsTo }: { readonly json: boolean; readonly leadsTo?: string | undefined },
): void {
  const text = addressText(address);
  say(leadsTo === undefined ? `listening on ${text}` : `listening on ${text} for ${leadsTo}`);
  if (json) print(jsonText({ event: "listening", address: text, leadsTo }));
}

/** Says that what is open has to end first, where anything is. */
export function sayDraining(open: number, what: string): void {
  if (open > 0) {
    say(
      `draining ${count(open)} ${what}${open === 1 ? "" : "s"}; press Ctrl-C again to end at once`,
    );
  }
}

/** Says that the end begins only after a delay, where there is one. */
export function sayLeaving(delayMs: number | undefined): void {
  if (delayMs !== undefined) {
    say(`not ready any more, ending in ${duration(delayMs)}; press Ctrl-C again to end at once`);
  }
}
