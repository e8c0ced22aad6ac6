// Headlines: the rows that the README shows, and what it calls them.
import type { Outcome } from "./contest.ts";

/** A row of a whole run, and its line in the README. */
interface Headline {
  readonly work: string;
  readonly ours: string;
  readonly baseline: string;
  readonly text: string;
  readonly to: string;
}

const LOOP = "raw loop";

/** Every headline. */
export const HEADLINES: readonly Headline[] = [
  {
    work: "one at a time tcp, 64 B, 100 connections",
    ours: "for await",
    baseline: LOOP,
    text: "echo over TCP, 64 B, one at a time, 100 connections",
    to: "the loop",
  },
  {
    work: "echo tls-node",
    ours: "by batches",
    baseline: LOOP,
    text: "echo over TLS, 64 B, 64 in flight, by batches",
    to: "the loop, not parsing",
  },
  {
    work: "echo tcp",
    ours: "by batches",
    baseline: LOOP,
    text: "echo over TCP, the same",
    to: "the loop, not parsing",
  },
  {
    work: "echo tcp",
    ours: "for await",
    baseline: LOOP,
    text: "echo over TCP, the same, by `for await`",
    to: "the loop, not parsing",
  },
  {
    work: "mux bulk tcp, 256 MiB over 1 stream",
    ours: "MuxSession",
    baseline: "raw copy",
    text: "256 MiB over one stream",
    to: "raw copy",
  },
  {
    work: "mux bulk tcp, 256 MiB over 64 streams",
    ours: "MuxSession",
    baseline: "@libp2p/yamux over our transport",
    text: "256 MiB over 64 streams",
    to: "`@libp2p/yamux`",
  },
  {
    work: "mux churn tcp, 64 at once",
    ours: "MuxSession",
    baseline: "@libp2p/yamux over our transport",
    text: "open a stream, echo 64 B, close, 64 at once",
    to: "`@libp2p/yamux`",
  },
  {
    work: "ipc query 64 B, 64 in flight",
    ours: "encrypted",
    baseline: "vscode-jsonrpc, plain",
    text: "encrypted IPC queries, 64 in flight",
    to: "`vscode-jsonrpc`, open",
  },
  {
    work: "ipc one way 64 B",
    ours: "encrypted",
    baseline: "vscode-jsonrpc, plain",
    text: "encrypted IPC messages one way, 64 B",
    to: "`vscode-jsonrpc`, open",
  },
];

/**
 * Returns the section of the README.
 *
 * @throws {Error} when a row is missing: the run was not of everything
 */
export function readmeSection(outcomes: readonly Outcome[], conditions: string): string {
  const rows = HEADLINES.map(({ work, ours, baseline, text, to }) => {
    const ratio = outcomes.find((outcome) =>
      outcome.work === work && outcome.ours === ours && outcome.baseline === baseline
    )?.ratio;
    if (ratio === undefined) throw new Error(`The README needs "${work}" of a whole run`);
    return `| ${text} | ${ratio.median.toFixed(ratio.median < 10 ? 2 : 0)} | ${to} |`;
  });
  return `## How fast it is

Each figure is a ratio of processor time to the shortest hand-written loop that moves the same bytes
with the same backend, or to the named program. Both ran in turns, in one run. The figures are
medians; more is better. ${conditions}.

| work | ratio | to |
| --- | --- | --- |
${rows.join("\n")}

All figures with their spread, the cases that are slower, and what a message, a connection, a stream
and a query cost: [How fast it is](docs/performance.md). \`deno task bench:race\` measures all of it
again, \`deno task bench\` the parts in memory.
`;
}
