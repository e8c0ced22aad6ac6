// tryOut(): the trial of a new link, before it counts as one and takes messages.
import { unlessAborted, withDeadline } from "../async/deadline.ts";
import { pause } from "../async/pause.ts";
import type { Connection } from "../connection.ts";
import { ClosedError, TimeoutError } from "../errors.ts";

/** What {@linkcode OnConnect} gets beside the link. */
export interface ConnectInfo {
  /** Whether this is the client's first link. */
  readonly first: boolean;
}

/**
 * Prepares each new link, for example by a login. Messages that it sends on the link leave before
 * those that wait for one. Messages that it receives go to no other reader.
 */
export type OnConnect<Data = unknown> = (link: Connection<Data>, info: ConnectInfo) => unknown;

/** How a link is tried. */
export interface Trial<Data> extends ConnectInfo {
  /** Where the link leads, for errors. */
  readonly targetText: string;
  readonly onConnect: OnConnect<Data> | undefined;
  /** Longest time in ms that `onConnect` may take, and the time limit that was set for the whole attempt. */
  readonly leftMs: number;
  readonly timeoutMs: number;
  /** Time in ms for which a link that has received nothing must live. */
  readonly silenceMs: number;
  /** Ends the trial, which then throws the reason of the signal. */
  readonly signal: AbortSignal;
}

/** Time in ms that `onConnect` has after the server has ended its direction, to read what came before. */
const LAST_WORDS_MS = 1000;

/** Longest trial in ms that slow dialling causes. */
const MAX_SILENCE_MS = 1000;

/**
 * Returns for how long a link that receives nothing must live, in ms: a refusal takes a round trip,
 * and dialling took at least one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(silenceFor(50, 3), 50);
 * assertEquals(silenceFor(50, 120), 240);
 * assertEquals(silenceFor(50, 9000), 1000);
 * assertEquals(silenceFor(0, 120), 0);
 * ```
 */
export function silenceFor(trialMs: number, dialMs: number): number {
  if (trialMs === 0) return 0;
  return Math.max(trialMs, Math.min(2 * dialMs, MAX_SILENCE_MS));
}

/**
 * Resolves once the link counts as one: `onConnect` is done, and the link has received something or
 * lived long enough. A link that has ended meanwhile counts if it has received something, because
 * that must be read.
 *
 * @throws what `onConnect` throws, and why the link ended before it counted; the link is closed then
 */
export async function tryOut<Data>(link: Connection<Data>, trial: Trial<Data>): Promise<void> {
  const { signal } = trial;
  const over = new AbortController();
  try {
    if (trial.onConnect !== undefined) await prepare(link, trial.onConnect, trial, over.signal);
    await unlessAborted(outlive(link, trial), signal);
  } catch (error) {
    // Once the server has ended the link there is nothing to cut, and how it left is known.
    if (hasEnded(link)) link.closeNow();
    else link.abort(error);
    await link.closed;
    throw error;
  } finally {
    over.abort();
  }
}

/** Runs `onConnect` within its time, while the link lives. */
async function prepare<Data>(
  link: Connection<Data>,
  onConnect: OnConnect<Data>,
  trial: Trial<Data>,
  over: AbortSignal,
): Promise<void> {
  const { signal, first, targetText, leftMs, timeoutMs } = trial;
  const late = () => {
    const text =
      `Cannot connect to ${targetText} within ${timeoutMs} ms: "onConnect" had not finished`;
    return new TimeoutError("ERR_CONNECT_TIMEOUT", text);
  };
  await withDeadline(
    { signal, timeoutMs: Math.max(1, leftMs), late },
    () => Promise.race([linkEnded(link, trial, over), Promise.try(onConnect, link, { first })]),
  );
}

/**
 * Rejects some time after the link has ended: until then `onConnect` can read the last messages,
 * and say what they mean.
 */
async function linkEnded<Data>(
  link: Connection<Data>,
  { targetText }: Trial<Data>,
  over: AbortSignal,
): Promise<void> {
  await link.inputEnded;
  await pause(LAST_WORDS_MS, over);
  if (over.aborted) return;
  link.closeNow();
  const { error } = await link.closed;
  throw error ?? new ClosedError(
    "ERR_CLOSED",
    `Cannot connect to ${targetText}: the server closed the connection before "onConnect" had finished`,
  );
}

/** Waits until the link has received something, or has lived for long enough. */
async function outlive<Data>(
  link: Connection<Data>,
  { silenceMs, targetText }: Trial<Data>,
): Promise<void> {
  let leftMs = silenceMs;
  // In growing steps: an early end is seen early, and a process that stands still for long does not
  // use up all the time at once.
  for (let stepMs = 1; leftMs > 0 && !hasEnded(link) && !hasReceived(link); stepMs *= 2) {
    const ms = Math.min(stepMs, leftMs);
    leftMs -= ms;
    await pause(ms, link.signal);
  }
  if (!hasEnded(link) || hasReceived(link)) return;
  link.closeNow();
  const { error } = await link.closed;
  throw error ?? new ClosedError(
    "ERR_CLOSED",
    `Cannot use the connection to ${targetText}: the server closed it at once, without a word: it may be full, ` +
      `or a balancer without a server`,
  );
}

/** Whether the server has ended its direction. */
function hasEnded(link: Connection): boolean {
  return link.signal.aborted;
}

/** Whether the server has sent anything so far. */
export function hasReceived(link: Connection): boolean {
  return link.stats().bytesIn > 0;
}
