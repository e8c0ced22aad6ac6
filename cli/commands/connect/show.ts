// showMessage(): a message as people can read it on a terminal, whatever a peer has put into it.
import { escapeForTerminal } from "../../../log/text.ts";
import { count } from "../../output/talk.ts";

/** Bytes of a message that is no text which are shown. */
const SHOWN_BYTES = 256;

/** How messages are shown. */
export interface ShowOptions {
  /** Whether text is shown in hexadecimal as well. */
  readonly hex: boolean;
  /** Whether line feeds inside of messages stay: where messages are mere pieces of a flow. */
  readonly keepLines: boolean;
}

/** Control characters that text does not have; those of terminals it may, and they are escaped. */
// deno-lint-ignore no-control-regex
const NO_TEXT = /[\0-\x06\x0e-\x1a\x1c-\x1f]/;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A message as text without what a terminal obeys, or as its bytes where it is none. Without a line feed at
 * the end.
 */
export function showMessage(message: Uint8Array, { hex, keepLines }: ShowOptions): string {
  const text = hex ? null : textOf(message);
  if (text !== null) return escapeForTerminal(text, keepLines);
  const shown = message.subarray(0, SHOWN_BYTES).toHex().replace(/..(?!$)/g, "$& ");
  const more = message.length > SHOWN_BYTES
    ? ` … and ${count(message.length - SHOWN_BYTES)} more`
    : "";
  return `[${count(message.length)} byte${message.length === 1 ? "" : "s"}] ${shown}${more}`
    .trimEnd();
}

function textOf(message: Uint8Array): string | null {
  try {
    const text = strict.decode(message);
    return NO_TEXT.test(text) ? null : text;
  } catch {
    return null;
  }
}
