// PEM text: finds its blocks, decodes and encodes them.

/** One block of PEM text. */
export interface PemBlock {
  /** The label after `BEGIN`, such as `CERTIFICATE`. */
  readonly label: string;
  /** The bytes inside. */
  readonly der: Uint8Array;
  /** Whether the block is encrypted with a passphrase. Then its bytes are of no use. */
  readonly encrypted: boolean;
}

const begin = /-----BEGIN ([A-Z0-9 ]+)-----/g;

/**
 * Finds all blocks in `text`. It ignores what is between them, by RFC 7468.
 *
 * @param name Name of the text in messages, such as `"certFile"` in quotes.
 * @throws {TypeError} when a block does not end or is not base64. The message never shows the content.
 */
export function parsePem(text: string, name: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  begin.lastIndex = 0;
  for (let match = begin.exec(text); match !== null; match = begin.exec(text)) {
    const label = match[1] ?? "";
    const start = begin.lastIndex;
    const end = text.indexOf(`-----END ${label}-----`, start);
    if (end < 0) throw new TypeError(`Cannot read ${name} as PEM: its "${label}" block has no end`);
    begin.lastIndex = end;
    blocks.push(parseBlock(label, text.slice(start, end), name));
  }
  return blocks;
}

/** Writes one block, 64 characters a line, with a line feed at its end. */
export function formatPem(label: string, der: Uint8Array): string {
  const lines = toBase64(der).replace(/.{1,64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}

function parseBlock(label: string, body: string, name: string): PemBlock {
  // Old keys have headers (RFC 1421) before an empty line; the one that matters says "encrypted".
  const headers = /^\s*(?:[A-Za-z0-9-]+:.*\r?\n)+\s*\n/.exec(body)?.[0] ?? "";
  const encrypted = label === "ENCRYPTED PRIVATE KEY" || headers.includes("ENCRYPTED");
  const base64 = body.slice(headers.length).replace(/\s+/g, "");
  const der = fromBase64(base64);
  if (der === undefined || der.length === 0) {
    throw new TypeError(`Cannot read ${name} as PEM: its "${label}" block is not base64`);
  }
  return { label, der, encrypted };
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
