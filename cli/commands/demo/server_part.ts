// The demo's server: a process that answers lines, stores a file and handles jobs, over TLS with client
// certificates.
import { pause } from "../../../async/pause.ts";
import type { Connection } from "../../../connection.ts";
import { delimited, fixedLength, lengthPrefixed } from "../../../framing.ts";
import { serve } from "../../../server.ts";
import { orders } from "./orders.ts";
import {
  decodeJson,
  demoFiles,
  encodeJson,
  JOB_HEAD_BYTES,
  jobId,
  jobSum,
  Sha256,
  type Task,
  tell,
  writeIds,
} from "./protocol.ts";

/**
 * Faults that a test asks for, to see that the demo notices: a flipped bit in the stored file, a handled job
 * that is not counted, one that is counted twice.
 */
export type DemoFault = "file" | "lost" | "twice";

/** Jobs of the first client that the faults strike. */
const LOST_ID = 5;
const TWICE_ID = 6;

/** Those that were asked for. */
export type Faults = ReadonlySet<DemoFault>;

/** Bytes of a file that are read at once. */
const PIECE_BYTES = 64 * 1024;

/** Time in ms for the drain: far more than it takes. */
const DRAIN_TIMEOUT_MS = 5000;

/** Runs until it has drained. */
export async function runServerPart(folder: string, faults: Faults): Promise<number> {
  const files = demoFiles(folder);
  const handled: number[] = [];
  const server = serve({
    hostname: "127.0.0.1",
    tls: { certFile: files.serverCert, keyFile: files.serverKey, clientCaFile: files.ca },
    // deno-lint-ignore no-explicit-any
    onListen: (addr: any) => tell({ event: "listening", port: addr.port }),
  }, async (conn) => {
    const task = await conn.receive();
    if (task !== null) await perform(decodeJson<Task>(task), conn);
  });
  const perform = (task: Task, conn: Connection): Promise<void> => {
    switch (task.task) {
      case "lines":
        return answerLines(conn);
      case "file":
        return storeFile(conn, task.bytes, files.received, faults);
      case "jobs":
        return handleJobs(conn, handled, faults);
    }
  };
  await server.ready;
  for await (const order of orders()) {
    if (order === "count") tell({ event: "handled", handled: handled.length });
    if (order !== "drain") continue;
    const startedAtMs = performance.now();
    const connections = server.connections.size;
    const error = await server.shutdown({ timeoutMs: DRAIN_TIMEOUT_MS }).then(() => null, String);
    await writeIds(files.handled, handled);
    tell({ event: "drained", ms: performance.now() - startedAtMs, connections, error });
    return 0;
  }
  return 1; // the process that started us is gone
}

/** Sends every line back, then reports their count and their hash. */
async function answerLines(conn: Connection): Promise<void> {
  conn.setFraming(delimited("\n"));
  const hash = new Sha256();
  let lines = 0;
  for await (const batch of conn.batches()) {
    lines += batch.length;
    for (const line of batch) {
      hash.update(line);
      hash.update("\n");
    }
    await conn.sendBatch(batch);
  }
  await conn.send(encodeJson({ lines, sha256: hash.hex() }));
}

/** Takes `bytes` bytes without frames, stores them, and goes back to messages. */
async function storeFile(
  conn: Connection,
  bytes: number,
  path: string,
  faults: Faults,
): Promise<void> {
  const hash = new Sha256();
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const writer = file.writable.getWriter();
  const rest = bytes % PIECE_BYTES;
  if (bytes > rest) conn.setFraming(fixedLength(PIECE_BYTES));
  for (let left = bytes; left > 0;) {
    if (left === rest) conn.setFraming(fixedLength(rest));
    const piece = await conn.receive();
    if (piece === null) throw new Error("The file was cut short");
    hash.update(piece);
    if (faults.has("file") && left === bytes) piece[0]! ^= 1;
    await writer.write(piece);
    left -= piece.length;
  }
  await writer.close();
  conn.setFraming(lengthPrefixed());
  await conn.send(encodeJson({ bytes, sha256: hash.hex() }));
}

/** Handles jobs and answers each with a sum over its content. */
async function handleJobs(conn: Connection, handled: number[], faults: Faults): Promise<void> {
  for await (const job of conn) {
    const id = jobId(job);
    // Now and then a job takes a while, so that the drain finds some half done.
    if (id % 64 === 0) await pause(1);
    if (!(faults.has("lost") && id === LOST_ID)) handled.push(id);
    if (faults.has("twice") && id === TWICE_ID) handled.push(id);
    const answer = new Uint8Array(JOB_HEAD_BYTES + 4);
    answer.set(job.subarray(0, JOB_HEAD_BYTES));
    new DataView(answer.buffer).setUint32(JOB_HEAD_BYTES, jobSum(job));
    await conn.send(answer);
  }
}
