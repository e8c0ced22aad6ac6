// Send buffers of a Client over scripted links, for their tests.
import { delimited } from "@parley/parley";
import { SendBuffer } from "../../../client/send_buffer.ts";
import type { Connection, ConnectionSetup } from "../../../connection.ts";
import { rejected } from "../../../async/rejections.ts";
import { concat, text } from "../bytes.ts";
import { scriptedConnection } from "../simulation/memory_connections.ts";
import type { ScriptedTransport } from "../simulation/memory_scripted.ts";

const limits = { maxMessageBytes: 1 << 20 };

/** Options of {@linkcode makeSendBuffer}. */
export interface SendBufferTestOptions extends ConnectionSetup<unknown> {
  highWaterBytes?: number | undefined;
  maxQueuedBytes?: number | undefined;
}

/** A buffer without a link, and what makes links for it. */
export function makeSendBuffer(
  options: SendBufferTestOptions = {},
): { buffer: SendBuffer; link: () => Link } {
  const { highWaterBytes = 1 << 20, maxQueuedBytes = 1 << 23, framing = delimited("\n") } = options;
  const newEncoder = () => framing.encoder(limits);
  const buffer = new SendBuffer({ highWaterBytes, maxQueuedBytes, newEncoder, refuse: rejected });
  return { buffer, link: () => scriptedConnection({ framing, highWaterBytes, maxQueuedBytes }) };
}

/** A connection over a scripted transport. */
export type Link = { connection: Connection; transport: ScriptedTransport };

/** Ends a link as a vanished peer does; returns what the buffer makes of it. */
export async function lose(
  buffer: SendBuffer,
  { connection, transport }: Link,
): Promise<ReturnType<SendBuffer["detach"]>> {
  transport.failInput();
  await connection.closed;
  return buffer.detach();
}

/** Returns what a link's transport was given so far. */
export function written({ transport }: Link): string {
  return text(concat(transport.writes));
}
