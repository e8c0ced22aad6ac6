// The properties of the legal peer model: what must hold of each stream, and of all, once everything is over.
import { assert } from "@std/assert";
import type { Actor, Side, StreamPlan } from "./model_actor.ts";
import { codeOf, type Flow } from "./model_flow.ts";

/** A peer that never closes its half may be cut after a minute; what is slower than this excuses it. */
const PATIENCE_AFTER_CLOSE_MS = 50_000;
/**
 * A peer whose reader loses by a reset what it has not read gets a second before it, if it sends
 * what the other does not want.
 */
const LINGER_MS = 900;

/** What was done to everything at once, and what came of it. */
export interface Verdict {
  /**
   * The link was cut, a session aborted, or a time limit of `close` passed: streams may break, but not in
   * silence.
   */
  readonly cut: string | undefined;
  /** A side went away: streams may be refused by that. */
  readonly goneAway: boolean;
  /** How the session of each side ended, by `closed` or by the rejection of `close`. */
  readonly sessionErrors: Readonly<Record<Side, unknown>>;
  /** A reset drops what its reader has not read, even behind FIN: what some yamux programs do. */
  readonly resetDropsUnread?: boolean | undefined;
  /** A program that has closed its socket in order can learn nothing more. */
  readonly sockets?: boolean | undefined;
}

/** Checks one stream. */
export function checkPlan(plan: StreamPlan, verdict: Verdict): void {
  try {
    if (plan.openError !== undefined) return checkNotOpened(plan, verdict);
    if (!plan.opened) return;
    if (plan.actors.acceptor === undefined) return checkRefused(plan, verdict);
    if (verdict.cut !== undefined) plan.allow(verdict.cut);
    if (verdict.resetDropsUnread) allowAfterCancel(plan);
    allowAfterClose(plan, verdict.resetDropsUnread ? LINGER_MS : PATIENCE_AFTER_CLOSE_MS);
    if (plan.isQuestion && plan.flows.acceptor.excuse === undefined) {
      const { closed } = plan.actors.opener!;
      assert(
        closed === undefined,
        `a stream that was served and read to its end is not over: "closed" told ${codeOf(closed)}`,
      );
    }
    checkFlow(plan, "opener", verdict);
    checkFlow(plan, "acceptor", verdict);
  } catch (error) {
    if (error instanceof Error) error.message += `\n${story(plan)}`;
    throw error;
  }
}

function checkNotOpened(plan: StreamPlan, { cut, goneAway }: Verdict): void {
  const code = codeOf(plan.openError);
  if (code === "ERR_GOING_AWAY" || code === "ERR_CLOSED") {
    return assert(goneAway || cut, `an opening was told ${code} though no side went away`);
  }
  if (
    plan.openTimeoutMs !== undefined &&
    (code === "ERR_CONNECT_TIMEOUT" || code === "ERR_TOO_MANY_STREAMS")
  ) return;
  if (code === "ERR_TOO_MANY_STREAMS" && plan.mayRefuse !== undefined) return;
  assert(cut !== undefined, `an opening failed with ${code} though nothing forbade it`);
}

/** The acceptor never saw it: a refusal, by code, and only where one is due. */
function checkRefused(plan: StreamPlan, { cut, goneAway }: Verdict): void {
  const { opener } = plan.actors;
  const told = [plan.flows.acceptor.readError, plan.flows.opener.writeError, opener?.closed];
  assert(
    plan.flows.opener.excuse !== undefined || told.some((error) => error instanceof Error),
    "a stream that was never accepted, and its opener was not told",
  );
  if (cut !== undefined || plan.flows.opener.excuse !== undefined) return;
  for (const error of told) {
    if (!(error instanceof Error)) continue;
    const code = codeOf(error);
    if (code === "ERR_GOING_AWAY") {
      assert(goneAway, "a stream was told of a going away that was none");
    } else if (code === "ERR_TOO_MANY_STREAMS" || (code === "ERR_RESET" && !plan.knowsPeer)) {
      assert(plan.mayRefuse !== undefined, "a stream was refused within the limit");
    } else assert(false, `a stream was refused by ${code}`);
  }
}

/** After `close()` the peer may be silent for so long only. */
function allowAfterClose(plan: StreamPlan, patienceMs: number): void {
  for (const [side, other] of [["opener", "acceptor"], ["acceptor", "opener"]] as const) {
    const closedAtMs = plan.actors[side]?.closedAtMs;
    if (closedAtMs === undefined) continue;
    const done = plan.actors[other]?.doneAtMs ?? Infinity;
    if (done - closedAtMs > patienceMs) {
      plan.allow(`the ${other} was slow after the other's close`);
      // A side that closes while the other still sends does not hear whether it had read everything.
      plan.actors[side]!.hasReset = true;
    }
  }
}

/** What a side has not read by then is dropped by that reset. */
function allowAfterCancel(plan: StreamPlan): void {
  for (const actor of [plan.actors.opener, plan.actors.acceptor]) {
    if (actor?.cancelledAtMs === undefined) continue;
    plan.allow("a side stopped reading");
    actor.hasReset = true;
  }
}

function checkFlow(plan: StreamPlan, writer: Side, { sessionErrors, sockets }: Verdict): void {
  const flow = plan.flows[writer];
  const reader = writer === "opener" ? "acceptor" : "opener";
  const actors = plan.actors as Record<Side, Actor>;
  const other = plan.flows[reader];
  if (flow.excuse === undefined) {
    assert(
      flow.writeError === undefined,
      `nothing broke it, but its writer was told ${codeOf(flow.writeError)}`,
    );
    assert(
      flow.readError === undefined,
      `nothing broke it, but its reader was told ${codeOf(flow.readError)}`,
    );
    assert(flow.ended, "nothing broke it, but its reader never came to the end");
    const closed = actors[writer].closed;
    if (other.excuse === undefined) {
      assert(
        closed === undefined,
        `nothing broke it, but "closed" of its writer told ${codeOf(closed)}`,
      );
    }
  }
  if (!flow.hasLoss) return;
  assert(flow.readError !== undefined, "bytes were lost, and its reader was not told");
  const told = flow.writeError ?? actors[writer].closed ?? sessionErrors[writer];
  if (sockets && actors[writer].closed === undefined) return;
  assert(
    told !== undefined || actors[writer].hasReset,
    "bytes were lost, and its writer was not told",
  );
}

/** What became of a stream, for the reader of a failure. */
export function story(plan: StreamPlan): string {
  const side = (name: Side) => {
    const actor = plan.actors[name];
    if (actor === undefined) return `  ${name}: never came`;
    const closed = actor.closed instanceof Error ? codeOf(actor.closed) : String(actor.closed);
    return `  ${name}: out at ${actor.at.out}, in at ${actor.at.in}, closed ${closed}, done at ${actor.doneAtMs} ms`;
  };
  const flow = (
    { written, read, finished, ended, excuse, readError, writeError, abandoned }: Flow,
  ) =>
    `wrote ${written}, read ${read}, ${finished ? "finished" : "unfinished"}, ${
      ended ? "ended" : "not ended"
    }` +
    `${abandoned ? ", abandoned" : ""}${excuse ? `, excuse: ${excuse}` : ""}` +
    `${readError ? `, reader told ${codeOf(readError)}` : ""}${
      writeError ? `, writer told ${codeOf(writeError)}` : ""
    }`;
  return [
    `Plan ${plan.number}, opened at ${plan.atMs} ms${
      plan.openError ? `: ${codeOf(plan.openError)}` : ""
    }`,
    side("opener"),
    `    ${JSON.stringify(plan.lanes.opener)}`,
    side("acceptor"),
    `    ${JSON.stringify(plan.lanes.acceptor)}`,
    `  there: ${flow(plan.flows.opener)}`,
    `  back:  ${flow(plan.flows.acceptor)}`,
  ].join("\n");
}
