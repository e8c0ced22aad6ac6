// Subjects of the races, in the order of docs/performance.md.
import type { Subject } from "./place.ts";
import { accept } from "./subjects/accept.ts";
import { calls } from "./subjects/calls.ts";
import { besideIdleConnections } from "./subjects/beside_idle.ts";
import { echo } from "./subjects/echo.ts";
import { golib } from "./subjects/golib.ts";
import { memory } from "./subjects/memory.ts";
import { ipc } from "./subjects/ipc.ts";
import { mux } from "./subjects/mux.ts";
import { oneAtATime } from "./subjects/one_at_a_time.ts";
import { proxy } from "./subjects/proxy.ts";
import { push } from "./subjects/push.ts";
import { workers } from "./subjects/workers.ts";

/** Every subject. */
export const SUBJECTS: readonly Subject[] = [
  echo,
  oneAtATime,
  accept,
  memory,
  besideIdleConnections,
  push,
  workers,
  mux,
  ipc,
  calls,
  proxy,
  golib,
];
