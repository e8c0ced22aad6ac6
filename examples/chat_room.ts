// A chat room: guests have the names that their tokens prove, and see what was said before they came.
//
//   deno run --allow-net --allow-read --allow-env=TOKEN examples/chat_room.ts open 7000 tokens.txt
//   TOKEN=secret deno run --allow-net --allow-read --allow-env=TOKEN examples/chat_room.ts enter 7000 alice
//
// tokens.txt has lines of "identity token". A guest says the lines of its standard input, and leaves
// at their end. Ctrl-C closes the room.
import { answer, call, caller, contract, feed } from "@parley/parley/calls";
import { ParleyError } from "@parley/parley";
import { join, mount, sameToken } from "@parley/parley/wire";
import { stdin } from "node:process";
import { createInterface } from "node:readline";
import { z } from "zod";

const [role = "open", port = "7000", third] = Deno.args;
/** How many lines the room remembers. */
const HISTORY = 100;

const line = z.object({ from: z.string(), text: z.string() });
type Line = z.infer<typeof line>;

/** What the room answers. No call takes a name: the room knows who calls. */
const room = contract({
  say: call({ input: z.string().trim().min(1).max(1_000) }),
  listen: feed({ output: line }),
}, { name: "room" });

/** What was said. Each reader goes through it at its own pace. */
class Transcript {
  #lines: Line[] = [];
  /** Lines that are forgotten. */
  #gone = 0;
  #more = Promise.withResolvers<void>();

  add(line: Line): void {
    console.log(`${line.from}: ${line.text}`);
    this.#lines.push(line);
    if (this.#lines.length > HISTORY) {
      this.#lines.shift();
      this.#gone++;
    }
    this.#wake();
  }

  /** Reads all lines from the oldest on, and waits for more until `signal` fires. */
  async *read(signal: AbortSignal): AsyncGenerator<Line> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    for (let next = 0; !signal.aborted;) {
      next = Math.max(next, this.#gone); // a reader that is too slow misses the oldest lines
      const line = this.#lines[next - this.#gone];
      if (line === undefined) await this.#more.promise;
      else yield line;
      if (line !== undefined) next++;
    }
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}

async function open(tokensFile: string): Promise<void> {
  const tokens = new Map<string, string>();
  for (const line of (await Deno.readTextFile(tokensFile)).trim().split("\n")) {
    const [identity = "", token = ""] = line.trim().split(" ");
    tokens.set(identity, token);
  }
  const wire = mount({
    port: Number(port),
    authorize: ({ identity, token }) => {
      const wanted = tokens.get(identity);
      return wanted !== undefined && sameToken(token, wanted);
    },
  });
  const said = new Transcript();
  answer(wire, room, {
    say(text, { peer }) {
      said.add({ from: `${peer}`, text });
    },
    async *listen(_, { peer, signal }) {
      said.add({ from: "room", text: `${peer} came in` });
      try {
        yield* said.read(signal);
      } finally {
        said.add({ from: "room", text: `${peer} left` });
      }
    },
  });
  await wire.ready;
  console.log("Listening on", wire.addr);
}

async function enter(identity: string): Promise<void> {
  await using wire = join({
    port: Number(port),
    identity,
    token: Deno.env.get("TOKEN") ?? "secret",
  });
  const remote = caller(wire, room);
  const leave = new AbortController();

  async function listen(): Promise<void> {
    for await (const { from, text } of remote.listen(undefined, { signal: leave.signal })) {
      console.log(`${from}: ${text}`);
    }
  }

  async function sayLines(): Promise<void> {
    for await (const text of createInterface({ input: stdin })) {
      if (text.trim() !== "") await remote.say(text);
    }
  }

  // Ends with what ends first: the last line, or the room.
  await Promise.race([listen(), sayLines()]);
  leave.abort();
}

try {
  await (role === "open" ? open(third ?? "tokens.txt") : enter(third ?? "alice"));
} catch (error) {
  if (!(error instanceof ParleyError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  Deno.exit(1);
}
