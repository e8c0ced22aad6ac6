// The demo's first two clients: one process that sends lines, one that sends a file.
import { connect } from "../../../client.ts";
import type { Connection } from "../../../connection.ts";
import { delimited, lengthPrefixed, raw } from "../../../framing.ts";
import {
  decodeJson,
  demoFiles,
  encodeJson,
  type FileReceipt,
  type LinesReceipt,
  SERVER_NAME,
  Sha256,
  tell,
} from "./protocol.ts";

/** Progress is reported each time so many bytes are on their way. */
const PROGRESS_EVERY_BYTES = 1 << 20;

/** Connects as the demo's client, whose certificate the server asks for. */
export async function connectToDemo(port: number, folder: string): Promise<Connection> {
  const files = demoFiles(folder);
  return await connect({
    hostname: "127.0.0.1",
    port,
    tls: {
      serverName: SERVER_NAME,
      caFile: files.ca,
      certFile: files.clientCert,
      keyFile: files.clientKey,
    },
  });
}

/** Sends the lines of a text file and compares what comes back. */
export async function runLinesPart(port: number, folder: string, path: string): Promise<number> {
  const lines = (await Deno.readTextFile(path)).replace(/\n$/, "").split("\n");
  await using conn = await connectToDemo(port, folder);
  tell({ event: "connected", protocol: conn.tls?.protocol ?? null });
  await conn.send(encodeJson({ task: "lines" }));
  conn.setFraming(delimited("\n"));

  const sending = (async () => {
    for (const line of lines) await conn.send(line);
    await conn.closeWrite();
  })();
  const decoder = new TextDecoder();
  let wrong = 0;
  for (const line of lines) {
    const answer = await conn.receive();
    if (answer === null || decoder.decode(answer) !== line) wrong++;
  }
  await sending;
  const receipt = decodeJson<LinesReceipt>(await conn.receive());
  tell({ event: "lines", sent: lines.length, wrong, receipt });
  return 0;
}

/** Sends a file without frames, between two messages. */
export async function runFilePart(port: number, folder: string): Promise<number> {
  await using conn = await connectToDemo(port, folder);
  using file = await Deno.open(demoFiles(folder).sent);
  const { size: bytes } = await file.stat();
  const startedAtMs = performance.now();
  await conn.send(encodeJson({ task: "file", bytes }));
  conn.setFraming(raw());
  const hash = new Sha256();
  let sent = 0;
  for await (const piece of file.readable) {
    hash.update(piece);
    await conn.send(piece);
    if (
      Math.floor(sent / PROGRESS_EVERY_BYTES) <
        Math.floor((sent + piece.length) / PROGRESS_EVERY_BYTES)
    ) {
      tell({ event: "progress", done: sent + piece.length });
    }
    sent += piece.length;
  }
  conn.setFraming(lengthPrefixed());
  const receipt = decodeJson<FileReceipt>(await conn.receive());
  tell({ event: "file", sha256: hash.hex(), ms: performance.now() - startedAtMs, receipt });
  return 0;
}
