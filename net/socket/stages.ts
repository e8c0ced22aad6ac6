// Stages of a dial, named when a deadline passes in one of them.
import type { DialStage } from "./tcp.ts";

const HUNG: Readonly<Record<DialStage | "files", string>> = {
  files: "the certificate files could not be read in this time",
  resolve: "no name server answered for the name",
  connect:
    "nothing at that address answered (TCP), as behind a firewall that drops packets or when the host is down",
  secure:
    "the connection was accepted, and the TLS handshake was not finished: is it a TLS server, and is it busy?",
};

/** Returns what a dial waited for when its time was over, as the end of a sentence. */
export function hungAt(stage: DialStage | "files"): string {
  return HUNG[stage];
}
