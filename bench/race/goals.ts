// Goals: the bound that each kind of row is measured by, in one place.

/** A bound of a ratio: speeds must be at least so much, bytes and lateness at most. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number };

const table = {
  "echo by batches, tcp": { atLeast: 0.55 },
  "echo by batches, unix": { atLeast: 0.55 },
  "echo by batches, tls-node": { atLeast: 0.8 },
  "echo by batches, tls-deno": { atLeast: 0.65 },
  // What `for await` reached before there were batches.
  "echo for await, tcp": { atLeast: 0.37 },
  "echo for await, unix": { atLeast: 0.31 },
  "echo for await, tls-node": { atLeast: 0.66 },
  "echo for await, tls-deno": { atLeast: 0.5 },
  "echo one at a time": { atLeast: 0.95 },
  "echo beside 10 000 idle": { atLeast: 0.95 },
  "accept against raw": { atLeast: 0.5 },
  "accept in 120 µs": { atLeast: 1 },
  "idle memory": { atMost: 1.1 },
  "push in 5 ms": { atMost: 1 },
  "golib's rate": { atLeast: 1 },
  "golib's memory": { atMost: 1 },
  "two workers, processor time": { atLeast: 0.85 },
  "two workers, wall clock": { atLeast: 1.7 },
  "mux bulk against raw": { atLeast: 0.7 },
  "mux bulk against libp2p": { atLeast: 1.3 },
  "mux churn against libp2p": { atLeast: 1.5 },
  "mux churn against Go": { atLeast: 1 },
  "mux beside 10 000 idle": { atLeast: 0.9 },
  "ipc encrypted query, one at a time": { atLeast: 0.5 },
  "ipc encrypted query, 64 in flight": { atLeast: 0.6 },
  "ipc encrypted one way": { atLeast: 0.5 },
  "ipc one way against AES": { atLeast: 0.8 },
  "ipc query against vscode-jsonrpc": { atLeast: 3 },
  "calls against vscode-jsonrpc": { atLeast: 3 },
  "calls against gRPC and Connect": { atLeast: 2 },
  "calls against plain queries": { atLeast: 0.7 },
} as const satisfies Record<string, Goal>;

/** A kind of row that has a goal. */
export type GoalName = keyof typeof table;

/** Every goal. */
export const GOALS: Readonly<Record<GoalName, Goal>> = table;
