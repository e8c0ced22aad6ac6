// The demo's typed calls: a process that answers them, and the two callers that check it.
import { answer, call, caller, contract, feed } from "../../../calls/mod.ts";
import { connectIpc, listenIpc } from "../../../ipc/mod.ts";
import { hub, join } from "../../../wire/mod.ts";
import { count } from "../../output/talk.ts";
import type { Checks } from "./checks.ts";
import { orders } from "./orders.ts";
import type { Part } from "./part.ts";
import { demoFiles, SERVER_NAME, Sha256, tell } from "./protocol.ts";

/** What the process answers. */
const worker = contract({
  digest: call<{ text: string }, { pid: number; sha256: string }>(),
  count: feed<{ to: number }, number>(),
}, { name: "worker", version: "1.0" });

/** Identity of the process at the hub. */
const IDENTITY = "worker";

/** Name of its channel, which is in the folder of the demo. */
const CHANNEL = "demo";

/** Values of the feed. */
const VALUES = 10_000;

/** Where the channel is, for both sides. */
function channelOf(folder: string): { readonly name: string; readonly path: string } {
  return { name: CHANNEL, path: `${folder}/calls.sock` };
}

/** Whether channels have paths here. */
const HAS_PATHS = Deno.build.os !== "windows";

/** Answers calls at the hub and on a channel, until its input ends. */
export async function runCallsPart(port: number, folder: string): Promise<number> {
  const { ca, clientCert, clientKey } = demoFiles(folder);
  const tls = { caFile: ca, certFile: clientCert, keyFile: clientKey, serverName: SERVER_NAME };
  await using wire = join({ hostname: "127.0.0.1", port, tls, identity: IDENTITY });
  await using channel = HAS_PATHS ? await listenIpc(channelOf(folder)) : null;
  for (const target of channel === null ? [wire] : [wire, channel]) {
    answer(target, worker, {
      digest: ({ text }) => ({ pid: Deno.pid, sha256: sha256(text) }),
      async *count({ to }) {
        for (let value = 1; value <= to; value++) yield value;
      },
    });
  }
  await wire.ready;
  tell({ event: "connected", protocol: null });
  for await (const _ of orders());
  return 0;
}

/** What {@linkcode checkCalls} needs. */
export interface CheckCallsOptions {
  /** Folder of the demo. */
  readonly folder: string;
  /** Takes the claims. */
  readonly checks: Checks;
  /** Starts the process that answers, as a client of the hub at this port. */
  readonly start: (port: number) => Part;
}

/** Makes a call through a hub, with client certificates, and one over a channel of this machine. */
export async function checkCalls({ folder, checks, start }: CheckCallsOptions): Promise<void> {
  const { ca, serverCert, serverKey, clientCert, clientKey } = demoFiles(folder);
  await using server = hub({
    tls: { certFile: serverCert, keyFile: serverKey, clientCaFile: ca },
    authorize: ({ kind, name }) => kind === "session" || name?.startsWith("worker.") === true,
  });
  await server.ready;
  const { port } = server.addr as { port: number };
  const part = start(port);
  await part.expect("connected");
  const tls = { caFile: ca, certFile: clientCert, keyFile: clientKey, serverName: SERVER_NAME };
  await using wire = join({ hostname: "127.0.0.1", port, tls, identity: "demo" });
  const text = await Deno.readTextFile(ca);
  const { pid, sha256: digest } = await caller(wire.peer(IDENTITY), worker).digest({ text });
  checks.that(
    `process ${pid} answered a call through a hub, over TLS`,
    pid === part.pid && digest === sha256(text),
  );
  if (!HAS_PATHS) return;
  await using client = await connectIpc(channelOf(folder));
  let next = 1;
  let ordered = true;
  for await (const value of caller(client, worker).count({ to: VALUES })) {
    ordered &&= value === next++;
  }
  checks.that(
    `${count(next - 1)} values of a feed came over an encrypted channel, in order`,
    ordered && next === VALUES + 1,
  );
}

function sha256(text: string): string {
  const hash = new Sha256();
  hash.update(text);
  return hash.hex();
}
