// The accept loop: takes connections from a listener until its owner ends it; no fault of the kernel does.
import { pause } from "../connection/pause.ts";
import { AcceptBackoff } from "../limits/accept_backoff.ts";
import type { Admission, Ticket } from "../limits/admission.ts";
import { sourceKey } from "../limits/source_key.ts";
import type { Incoming, Listener } from "../net/transport.ts";

/** What the loop tells its server. */
export interface AcceptEvents {
  /** A connection was let in; its handshake comes next. It must not throw. */
  onAdmitted(incoming: Incoming, ticket: Ticket<AbortController>): void;
  /** A connection was refused. */
  onRefused(incoming: Incoming): void;
  /** A connection was let in that takes the place of this one, whose handshake has stalled. */
  onReplaced(ticket: Ticket<AbortController>): void;
  /** The listener failed, such as for want of descriptors; the loop goes on after a pause. */
  onFault(error: unknown): void;
}

/**
 * Runs until the listener is closed. Never rejects.
 *
 * @param wait How time passes
 */
export async function acceptLoop(
  listener: Listener,
  admission: Admission<AbortController>,
  events: AcceptEvents,
  signal: AbortSignal,
  wait: typeof pause = pause,
): Promise<void> {
  const backoff = new AcceptBackoff();
  while (!signal.aborted) {
    let incoming: Incoming | null;
    try {
      incoming = await listener.accept();
      backoff.reset();
    } catch (error) {
      events.onFault(error);
      await wait(backoff.nextMs(), signal);
      continue;
    }
    if (incoming === null) return;
    const waitMs = admit(incoming, admission, events);
    if (waitMs > 0) await admitLater(incoming, waitMs, admission, events, signal);
  }
}

/** Lets a connection in or refuses it; gives ms to wait when there is no room just now. */
function admit(incoming: Incoming, admission: Admission<AbortController>, events: AcceptEvents): number {
  // Behind a balancer stand many: who comes through it is known, and counted, once its header was read.
  const source = incoming.identify === undefined ? sourceKey(incoming.remoteAddr) : null;
  const result = admission.admit(source, performance.now());
  switch (result.kind) {
    case "wait":
      return result.waitMs;
    case "refused":
      incoming.refuse();
      events.onRefused(incoming);
      return 0;
    case "admitted":
      if (result.replaced !== null) events.onReplaced(result.replaced);
      events.onAdmitted(incoming, result.ticket);
      return 0;
  }
}

/** Nobody else is accepted meanwhile: newcomers wait in the kernel's backlog. */
async function admitLater(
  incoming: Incoming,
  waitMs: number,
  admission: Admission<AbortController>,
  events: AcceptEvents,
  signal: AbortSignal,
): Promise<void> {
  for (let ms = waitMs; ms > 0 && !signal.aborted;) {
    await pause(Math.max(1, ms), signal);
    ms = signal.aborted ? 0 : admit(incoming, admission, events);
    if (ms === 0 && !signal.aborted) return;
  }
  incoming.refuse();
  events.onRefused(incoming);
}
