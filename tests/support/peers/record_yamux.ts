// Records tests/vectors/yamux_transcripts.json anew: deno run -A tests/support/peers/record_yamux.ts
import { toLine, type TranscriptLine } from "../simulation/frame_log.ts";
import { Interop } from "./interop.ts";
import { settles } from "../wait.ts";
import { YAMUX_SCENARIOS } from "./yamux_scenarios.ts";

/** One recorded session. */
export interface YamuxTranscript {
  readonly name: string;
  /** Which side our session was. */
  readonly role: "client" | "server";
  /** Every frame in the order in which our side sent or got it. */
  readonly frames: readonly TranscriptLine[];
}

/** Where the transcripts are. */
export const TRANSCRIPTS: URL = new URL("../../vectors/yamux_transcripts.json", import.meta.url);

async function record(name: string, role: "client" | "server"): Promise<YamuxTranscript> {
  const scenario = YAMUX_SCENARIOS.find((scenario) => scenario.name === name)!;
  await using pair = await Interop.start(role, { theirs: scenario.theirs, keepsFrames: true });
  await settles(name, Promise.all([scenario.ours(pair.ours), scenario.far?.(pair.theirs)]));
  return { name, role, frames: pair.log.frames.map(toLine) };
}

/** As JSON, a line to a frame. */
function print(transcripts: readonly YamuxTranscript[]): string {
  const sessions = transcripts.map(({ name, role, frames }) => {
    const lines = frames.map((line) => `      ${JSON.stringify(line)}`).join(",\n");
    return `    { "name": ${
      JSON.stringify(name)
    }, "role": "${role}", "frames": [\n${lines}\n    ] }`;
  });
  const about =
    "Sessions of MuxSession (ours, in the role given) and @libp2p/yamux 8.0.3 (theirs) over TCP; a frame is " +
    "who sent it, what it says, and header and body in hex; 61*16384 is 16384 bytes of 61";
  return `{\n  "about": ${JSON.stringify(about)},\n  "sessions": [\n${
    sessions.join(",\n")
  }\n  ]\n}\n`;
}

if (import.meta.main) {
  const transcripts: YamuxTranscript[] = [];
  for (const { name } of YAMUX_SCENARIOS) {
    for (const role of ["client", "server"] as const) transcripts.push(await record(name, role));
  }
  await Deno.writeTextFile(TRANSCRIPTS, print(transcripts));
}
