// isAlive(): whether a process runs; and a wait for its end.
import { until } from "../wait.ts";

/** Whether there is such a process. Goes on with it, if it was stopped. */
export function isAlive(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

/** Waits until a process has gone; `what` says it. */
export function untilGone(what: string, pid: number): Promise<void> {
  return until(what, () => !isAlive(pid));
}
