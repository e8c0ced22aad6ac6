// golib's claims: messages a second and bytes a connection, against its document and a Go program.
import type { Contest, Turn } from "../contest.ts";
import { NO_GO, type Place, type Program, type Subject } from "../place.ts";
import { type Backend, echoServer } from "./backends.ts";
import { echoTurn, loadEcho } from "./echo_plan.ts";
import { idleMemory } from "./idle_turns.ts";

const LINES = { messageBytes: 64, inFlight: 16, framing: "lines" } as const;

/** What golib's document claims for its server: messages a second by backend and connections. */
const CLAIMED_PER_SECOND = {
  tcp: { 100: 500_000, 1000: 450_000 },
  tls: { 100: 350_000, 1000: 300_000 },
} as const;

/** The most of the 10 to 15 KB a connection that it claims. */
const CLAIMED_BYTES = 15_000;

const GO = "Go";
const CLAIM = "golib's claim";

/** Ours for a TLS server of Go's: the backend that `"auto"` picks. */
const BACKENDS = { tcp: "tcp", tls: "tls-node" } as const;

/** The subject. */
export const golib: Subject = {
  name: "golib",
  title: "Against Go",
  about: "A server frames lines of 64 B and returns them, on one core, with 16 in flight on each " +
    "connection. The Go program answers what it has read at once in one write; one driver loads " +
    "both. golib's document claims messages a second and bytes a connection: the first are " +
    "compared to what a core does in a second of the server's processor time, the second to the " +
    "resident size that a connection adds.",
  contests: (place: Place): Contest[] =>
    (["tcp", "tls"] as const).flatMap((transport) => [
      rate(place, transport, 100),
      rate(place, transport, 1000),
      size(place, transport),
    ]),
};

function rate(place: Place, transport: "tcp" | "tls", connections: 100 | 1000): Contest {
  const plan = { ...LINES, connections };
  const claimed = CLAIMED_PER_SECOND[transport][connections];
  const goal = "golib's rate";
  return {
    work: `golib ${transport}, ${connections} connections`,
    unit: "message",
    contestants: {
      [CLAIM]: () => Promise.resolve({ serverMicros: 1e6 / claimed }),
      [GO]: () =>
        withGo(
          place,
          transport,
          (server) =>
            place.withServer(
              server,
              (address, pid) => loadEcho(place, transport, plan, address, pid),
            ),
        ),
      "by batches": echoTurn(place, "batches", BACKENDS[transport], plan),
      "for await": echoTurn(place, "messages", BACKENDS[transport], plan),
    },
    rows: ["by batches", "for await"].flatMap((ours) => [
      { ours, baseline: CLAIM, by: "server", goal },
      { ours, baseline: GO, by: "server" },
    ]),
  };
}

function size(place: Place, transport: "tcp" | "tls"): Contest {
  const backend: Backend = BACKENDS[transport];
  const count = 1000;
  return {
    work: `golib ${transport}, ${count} idle connections`,
    unit: "bytes",
    contestants: {
      [CLAIM]: () => Promise.resolve({ value: CLAIMED_BYTES }),
      [GO]: () => withGo(place, transport, (server) => idleMemory(place, server, backend, count)),
      "serve()": () => idleMemory(place, echoServer(place, "messages", backend), backend, count),
    },
    rows: [
      { ours: "serve()", baseline: CLAIM, by: "value", goal: "golib's memory" },
      { ours: "serve()", baseline: GO, by: "value" },
    ],
  };
}

/** Lets `use` work with the Go server, where it can be built. */
async function withGo(
  place: Place,
  transport: string,
  use: (server: Program) => Promise<Turn>,
): Promise<Turn | string> {
  const program = await place.goProgram("echo");
  if (program === null) return NO_GO;
  return await use({ file: "", runtime: [program], args: [transport, place.folder] });
}
