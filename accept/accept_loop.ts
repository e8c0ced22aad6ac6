// acceptLoop(): admits connections until their listener is closed; its faults do not end it.
import { pause } from "../async/pause.ts";
import { AcceptBackoff } from "./accept_backoff.ts";
import type { Admission, RefusalReason } from "../limits/admission.ts";
import type { AdmitResult } from "../limits/ticket.ts";
import type { Ticket } from "../limits/ticket.ts";
import { sourceKey } from "../limits/source_key.ts";
import type { Incoming, Listener } from "../net/transport/transport.ts";
import { WaitingRoom } from "./waiting_room.ts";

/** What the loop reports to its owner. No method may throw. */
export interface AcceptEvents {
  /** A connection was admitted. Its handshake comes next. */
  onAdmitted(incoming: Incoming, ticket: Ticket<AbortController>): void;
  /** A connection was refused, for this reason. It is closed. */
  onRefused(incoming: Incoming, reason: RefusalReason): void;
  /** A newcomer takes the place of this connection, whose handshake has stalled. */
  onReplaced(ticket: Ticket<AbortController>): void;
  /** The listener failed, for example for lack of descriptors. The loop goes on after a pause. */
  onFault(error: unknown): void;
}

/** The answer of an admission that has no room at the moment. */
type NotNow = Extract<AdmitResult<AbortController>, { readonly waitMs: number }>;

/**
 * Runs until the listener is closed. Never rejects.
 *
 * @param wait Waits in place of timers, for tests
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
    if (later.kind === "wait") {
      await admitLater(incoming, later.waitMs, admission, events, { signal, wait });
    } else admitAside(incoming, later.waitMs, admission, events, room);
  }
}

/** Admits or refuses a connection. Returns the time to wait when there is no room at the moment. */
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

/** The source that limits count. It is unknown until a balancer has named its client. */
function sourceOf(incoming: Incoming): string | null {
  return incoming.identify === undefined ? sourceKey(incoming.remoteAddr) : null;
}

/** Waits for room for a connection. Meanwhile newcomers wait in the kernel's backlog. */
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

/** Holds a connection back until its source has room. Meanwhile other sources are admitted. */
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
