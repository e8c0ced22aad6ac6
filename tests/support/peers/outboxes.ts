// Outboxes of a Client over scripted links, for their tests.
import { delimited } from "@parley/parley";
import { Outbox } from "../../../client/outbox.ts";
import type { Connection, ConnectionSetup } from "../../../connection.ts";
import { rejected } from "../../../async/rejections.ts";
import { concat, text } from "../bytes.ts";
import { scriptedConnection } from "../simulation/memory_connections.ts";
import type { ScriptedTransport } from "../simulation/memory_scripted.ts";

const limits = { maxMessageBytes: 1 << 20 };

/** Options of {@linkcode makeOutbox}. */
export interface OutboxTestOptions extends ConnectionSetup<unknown> {
  highWaterBytes?: number | undefined;
  maxQueuedBytes?: number | undefined;
}

/** An outbox without a link, and what makes links for it. */
export function makeOutbox(options: OutboxTestOptions = {}): { outbox: Outbox; link: () => Link } {
  const { highWaterBytes = 1 << 20, maxQueuedBytes = 1 << 23, framing = delimited("\n") } = options;
  const encoder = framing.encoder(limits);
  const outbox = new Outbox({ highWaterBytes, maxQueuedBytes, encoder, refuse: rejected });
  return { outbox, link: () => scriptedConnection({ framing, highWaterBytes, maxQueuedBytes }) };
}

/** A connection over a scripted transport. */
export type Link = { connection: Connection; transport: ScriptedTransport };

/** Ends a link as a vanished peer does; returns what the outbox makes of it. */
export async function lose(
  outbox: Outbox,
  { connection, transport }: Link,
): Promise<ReturnType<Outbox["detach"]>> {
  transport.failInput();
  await connection.closed;
  return outbox.detach();
}

/** Returns what a link's transport was given so far. */
export function written({ transport }: Link): string {
  return text(concat(transport.writes));
}
