// The accept loop: takes connections from a listener until its owner ends it; no fault of the kernel does.
import { pause } from "../async/pause.ts";
import { AcceptBackoff } from "./accept_backoff.ts";
import type { Admission, AdmitResult, RefusalReason, Ticket } from "../limits/admission.ts";
import { sourceKey } from "../limits/source_key.ts";
import type { Incoming, Listener } from "../net/transport/transport.ts";
import { WaitingRoom } from "./waiting_room.ts";

/** What the loop reports to its server. */
export interface AcceptEvents {
  /** A connection was let in; its handshake comes next. It must not throw. */
  onAdmitted(incoming: Incoming, ticket: Ticket<AbortController>): void;
  /** A connection was refused, and why. */
  onRefused(incoming: Incoming, reason: RefusalReason): void;
  /** A connection was let in that takes the place of this one, whose handshake has stalled. */
  onReplaced(ticket: Ticket<AbortController>): void;
  /** The listener failed, such as for want of descriptors; the loop goes on after a pause. */
  onFault(error: unknown): void;
}

/** There is no room just now. */
type NotNow = Extract<AdmitResult<AbortController>, { readonly waitMs: number }>;

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
  const room = new WaitingRoom(signal, wait);
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
    const later = admit(incoming, admission, events);
    if (later === null) continue;
    if (later.kind === "wait") await admitLater(incoming, later.waitMs, admission, events, { signal, wait });
    else admitAside(incoming, later.waitMs, admission, events, room);
  }
}

/** Lets a connection in or refuses it; returns how long to wait when there is no room just now. */
function admit(
  incoming: Incoming,
  admission: Admission<AbortController>,
  events: AcceptEvents,
): NotNow | null {
  const result = admission.admit(sourceOf(incoming), performance.now());
  switch (result.kind) {
    case "wait":
    case "hold":
      return result;
    case "refused":
      incoming.refuse();
      events.onRefused(incoming, result.reason);
      return null;
    case "admitted":
      if (result.replaced !== null) events.onReplaced(result.replaced);
      events.onAdmitted(incoming, result.ticket);
      return null;
  }
}

/** Whom limits per source count; a balancer that will say for whom it stands is none of them. */
function sourceOf(incoming: Incoming): string | null {
  return incoming.identify === undefined ? sourceKey(incoming.remoteAddr) : null;
}

/** No other connection is accepted meanwhile: newcomers wait in the kernel's backlog. */
async function admitLater(
  incoming: Incoming,
  waitMs: number,
  admission: Admission<AbortController>,
  events: AcceptEvents,
  { signal, wait }: { readonly signal: AbortSignal; readonly wait: typeof pause },
): Promise<void> {
  for (let ms = waitMs; ms > 0;) {
    await wait(Math.max(1, ms), signal);
    if (signal.aborted) return refuseWaiting(incoming, events);
    ms = admit(incoming, admission, events)?.waitMs ?? 0;
  }
}

/** Other sources are let in meanwhile. */
function admitAside(
  incoming: Incoming,
  waitMs: number,
  admission: Admission<AbortController>,
  events: AcceptEvents,
  room: WaitingRoom,
): void {
  const source = sourceOf(incoming);
  if (room.hasRoomFor(source)) {
    const askAgain = () => admit(incoming, admission, events)?.waitMs ?? 0;
    void room.hold(source, waitMs, askAgain, () => refuseWaiting(incoming, events));
    return;
  }
  incoming.refuse();
  admission.countRefusal("too_many_pending_from_source");
  events.onRefused(incoming, "too_many_pending_from_source");
}

function refuseWaiting(incoming: Incoming, events: AcceptEvents): void {
  incoming.refuse();
  events.onRefused(incoming, "draining");
}
