// IPC: queries and messages one way over a unix socket, encrypted and plain, against the raw loop, a
// JSON-RPC library and AES alone.
import type { Plan } from "../../peers/ipc/load.ts";
import type { Contest, Turn } from "../contest.ts";
import type { Place, Subject } from "../place.ts";

const RAW = "raw loop";
const JSON_RPC = "vscode-jsonrpc, plain";
const ENCRYPTED = "encrypted";
const PLAIN = "plain";
const ENCRYPTED_BATCHES = "encrypted, by batches of 64";
const PLAIN_BATCHES = "plain, by batches of 64";
const AES = "AES-256-GCM alone";

/** Names of the contestants in `bench/peers/ipc`. */
const CONTESTANTS: Readonly<Record<string, string>> = {
  [RAW]: "raw",
  [JSON_RPC]: "jsonrpc",
  [ENCRYPTED]: "parley",
  [PLAIN]: "parley-plain",
  [ENCRYPTED_BATCHES]: "parley",
  [PLAIN_BATCHES]: "parley-plain",
};

type Work = Pick<Plan, "kind" | "inFlight" | "messageBytes">;

/** The subject. */
export const ipc: Subject = {
  name: "ipc",
  title: "Channels on one machine",
  about: "Two processes over a unix socket. The loop sends the same bytes unparsed, all that are " +
    "in flight in one write. What counts is the processor time of both sides.",
  contests: (place: Place): Contest[] => [
    query(place, 1),
    query(place, 64),
    ...[64, 1024, 65_536, 1_048_576].map((bytes) => oneWay(place, bytes)),
  ],
};

function query(place: Place, inFlight: number): Contest {
  const work: Work = { kind: "query", inFlight, messageBytes: 64 };
  return {
    work: `ipc query 64 B, ${inFlight === 1 ? "one at a time" : `${inFlight} in flight`}`,
    unit: "query",
    contestants: contestants(place, [RAW, JSON_RPC, PLAIN, ENCRYPTED], work),
    rows: [
      {
        ours: ENCRYPTED,
        baseline: PLAIN,
        by: "both",
        goal: inFlight === 1
          ? "ipc encrypted query, one at a time"
          : "ipc encrypted query, 64 in flight",
      },
      {
        ours: ENCRYPTED,
        baseline: JSON_RPC,
        by: "both",
        goal: inFlight === 1 ? undefined : "ipc query against vscode-jsonrpc",
      },
      { ours: PLAIN, baseline: JSON_RPC, by: "both" },
      { ours: PLAIN, baseline: RAW, by: "both" },
      { ours: ENCRYPTED, baseline: RAW, by: "both" },
    ],
  };
}

function oneWay(place: Place, messageBytes: number): Contest {
  const work: Work = { kind: "one-way", inFlight: 1, messageBytes };
  const small = messageBytes <= 1024;
  const aes = messageBytes === 65_536;
  const names = [
    RAW,
    ...small ? [JSON_RPC, PLAIN_BATCHES, ENCRYPTED_BATCHES] : [],
    PLAIN,
    ENCRYPTED,
  ];
  return {
    work: `ipc one way ${sizeText(messageBytes)}`,
    unit: "message",
    contestants: {
      ...contestants(place, names, work),
      ...aes ? { [AES]: () => aesAlone(place, messageBytes) } : {},
    },
    rows: [
      { ours: ENCRYPTED, baseline: PLAIN, by: "both", goal: "ipc encrypted one way" },
      ...aes
        ? [{ ours: ENCRYPTED, baseline: AES, by: "both", goal: "ipc one way against AES" } as const]
        : [],
      ...small
        ? [
          { ours: ENCRYPTED, baseline: JSON_RPC, by: "both" },
          { ours: ENCRYPTED_BATCHES, baseline: ENCRYPTED, by: "both" },
          { ours: PLAIN_BATCHES, baseline: PLAIN, by: "both" },
          { ours: PLAIN_BATCHES, baseline: RAW, by: "both" },
        ] as const
        : [],
      { ours: PLAIN, baseline: RAW, by: "both" },
    ],
  };
}

function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 2 ** 20 ? `${bytes / 1024} KiB` : `${bytes / 2 ** 20} MiB`;
}

function contestants(
  place: Place,
  names: readonly string[],
  work: Work,
): Contest["contestants"] {
  return Object.fromEntries(names.map((name) => [name, () => turn(place, name, work)]));
}

function turn(place: Place, name: string, work: Work): Promise<Turn> {
  const contestant = CONTESTANTS[name]!;
  const path = place.socketPath();
  const batch = name === ENCRYPTED_BATCHES || name === PLAIN_BATCHES ? 64 : 1;
  const server = { file: "ipc/server.ts", args: [contestant, path, String(batch)] };
  return place.withServer(server, (_, serverPid) => {
    const plan: Plan = { ...work, batch, seconds: place.settings.seconds, serverPid };
    return place.load({ file: "ipc/load.ts", args: [contestant, path, JSON.stringify(plan)] });
  });
}

/** Sealing and opening on one core, without a socket. */
function aesAlone(place: Place, bytes: number): Promise<Turn> {
  const args = [String(bytes), String(place.settings.seconds)];
  return place.load({ file: "ipc/aes.ts", args });
}
