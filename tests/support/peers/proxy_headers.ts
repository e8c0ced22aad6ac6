// PROXY protocol headers for tests, made by hand from the text of the protocol.

/** Bytes of Latin-1 text. */
export function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The twelve bytes that version 2 begins with. */
const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";

/** A header of version 2 with any content. */
export function binaryHeader(
  { versionAndCommand = 0x21, family, body, lengthBytes }: {
    readonly versionAndCommand?: number | undefined;
    readonly family: number;
    readonly body: readonly number[];
    /** What the header says of the length. @default {the body's} */
    readonly lengthBytes?: number | undefined;
  },
): Uint8Array<ArrayBuffer> {
  const said = lengthBytes ?? body.length;
  return new Uint8Array([
    ...latin1(SIGNATURE),
    versionAndCommand,
    family,
    said >> 8,
    said & 0xff,
    ...body,
  ]);
}

/** A header of version 2 for TCP over IPv4, as HAProxy sends it; `tlvs` follow the addresses. */
export function binaryTcp4(
  source: string,
  sourcePort: number,
  tlvs: readonly number[] = [],
): Uint8Array<ArrayBuffer> {
  const octets = (text: string) => text.split(".").map(Number);
  const ports = [sourcePort >> 8, sourcePort & 0xff, 5555 >> 8, 5555 & 0xff];
  return binaryHeader({
    family: 0x11,
    body: [...octets(source), ...octets("198.51.100.1"), ...ports, ...tlvs],
  });
}

/** A header of version 1 for TCP over IPv4, as nginx sends it. */
export function lineTcp4(source: string, sourcePort: number): Uint8Array<ArrayBuffer> {
  return latin1(`PROXY TCP4 ${source} 198.51.100.1 ${sourcePort} 5555\r\n`);
}
