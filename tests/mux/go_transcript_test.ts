// A recorded session of a Go program whose goroutines open streams at once: their ids come out of
// order, and nothing is lost.
import { assert, assertEquals } from "@std/assert";
import { MuxSession, type MuxStream } from "@parley/parley/mux";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { concat, cutEvery, text } from "../support/bytes.ts";
import { bytesOf, FrameLog } from "../support/simulation/frame_log.ts";
import { readAll } from "../support/peers/mux_pair.ts";
import type { YamuxTranscript } from "../support/peers/record_yamux.ts";
import { settles } from "../support/wait.ts";

const STREAMS = 64;

const { sessions }: { sessions: YamuxTranscript[] } = JSON.parse(
  Deno.readTextFileSync(new URL("../vectors/yamux_go_transcript.json", import.meta.url)),
);
const [session] = sessions;
assert(session !== undefined);
const theirs = session.frames.filter(([from]) => from === "theirs");

/** The ids of the streams that they open, as they come. */
function idsOf(lines: typeof theirs): number[] {
  const log = new FrameLog(true);
  for (const line of lines) log.push("theirs", bytesOf(line));
  return log.of("theirs").filter(({ flags }) => flags.includes("SYN")).map(({ stream }) => stream);
}

/** Writes pieces one after the other. */
async function play(transport: Transport, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) await transport.write(piece);
}

/** Answers a stream with what came on it; returns that. */
async function echo(stream: MuxStream): Promise<string> {
  const bytes = await readAll(stream);
  await stream.write(bytes);
  await stream.close();
  return text(bytes);
}

/** Reads what the session sends until nothing more comes. */
async function collect(transport: Transport, log: FrameLog): Promise<void> {
  for (let chunk = await transport.read(); chunk !== null; chunk = await transport.read()) {
    log.push("ours", chunk);
  }
}

Deno.test("the transcript of a Go program holds ids out of order, each once", () => {
  const ids = idsOf(theirs);
  assertEquals(
    ids.toSorted((a, b) => a - b),
    Array.from({ length: STREAMS }, (_, index) => 2 * index + 1),
  );
  const backwards = ids.filter((id, index) => index > 0 && id < ids[index - 1]!);
  assert(backwards.length > 10, `${backwards.length} ids came after a later one`);
});

for (
  const [how, cut] of [["whole", (bytes: Uint8Array) => [bytes]], [
    "cut",
    (bytes: Uint8Array) => cutEvery(bytes, 7),
  ]] as const
) {
  Deno.test(`MuxSession serves every stream of a Go program whose ids come out of order: ${how}`, async () => {
    const [near, far] = memoryPair();
    const session = new MuxSession(near, { role: "server", keepAliveMs: 0 });
    const log = new FrameLog(true);
    const collecting = collect(far, log);
    const playing = play(far, cut(concat(theirs.map(bytesOf))));
    const answers: Promise<string>[] = [];
    while (answers.length < STREAMS) {
      const stream = await settles(`stream ${answers.length + 1}`, session.acceptStream());
      assert(stream !== null, `The session ended after ${answers.length} streams`);
      answers.push(echo(stream).then((said) => (assertEquals(said, `stream ${stream.id}`), said)));
    }
    const said = await settles("the answers", Promise.all(answers));
    assertEquals(new Set(said).size, STREAMS);
    await playing;
    await far.closeWrite();
    await settles("the end", session.closed);
    far.close();
    await collecting.catch(() => {});
    const ours = log.of("ours");
    assertEquals(ours.filter(({ type, flags }) => type === "goaway" || flags.includes("RST")), []);
    assertEquals(ours.filter(({ flags }) => flags.includes("FIN")).length, STREAMS);
  });
}
