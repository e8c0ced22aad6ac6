// Local: our own end of `parley connect`: where messages to send come from, and where received ones go.
import { Connection } from "../../../connection.ts";
import { MAX_MESSAGE_BYTES, raw } from "../../../framing.ts";
import { MAX_TIMER_MS } from "../../../options/check.ts";
import type { PipeFraming } from "../../flags/framing.ts";
import { StreamTransport } from "../../process/stream_transport.ts";
import { showMessage, type ShowOptions } from "./show.ts";

/** Our own end. */
export interface Local {
  /** Messages to send. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Bytes that were read and not yet taken from {@linkcode input}. */
  readonly heldBytes: number;
  /** Takes a received message; resolves when there is room for the next. */
  write(message: Uint8Array): Promise<void>;
  /** Resolves when all that was written has left. */
  flush(): Promise<void>;
  /** Ends {@linkcode input} once what was read is taken. */
  stopInput(): void;
  /** Resolves when the user at the terminal wants to leave; never without a terminal. */
  readonly left: Promise<void>;
}

/** Options of {@linkcode openPipes}. */
export interface PipesOptions {
  /** How standard input is made of messages. */
  readonly input: PipeFraming;
  /** How messages are put on standard output, unless that is a terminal. */
  readonly output: PipeFraming;
  /** Greatest message. */
  readonly maxMessageBytes: number;
  /** How messages are shown where standard output is a terminal, or everywhere with `hex`. */
  readonly show: ShowOptions;
}

/** Standard input and output: pipes, files, or a terminal at one of them. */
export function openPipes({ input, output, maxMessageBytes, show }: PipesOptions): Local {
  const toPeople = Deno.stdout.isTerminal();
  const out = toPeople || show.hex ? raw() : output.framing;
  const transport = new StreamTransport({
    name: "standard input and output",
    readable: Deno.stdin.readable,
    writable: Deno.stdout.writable,
    lastEnd: input.lastEnd,
  });
  // It is a connection like any other: one that may rest as long as it likes.
  const pipes = new Connection(transport, {
    framing: {
      name: `${input.framing.name}, ${out.name}`,
      decoder: (limits) => input.framing.decoder(limits),
      // What was received may be written, and takes more room in hexadecimal.
      encoder: () => out.encoder({ maxMessageBytes: MAX_MESSAGE_BYTES }),
    },
    maxMessageBytes,
    messageTimeoutMs: 0,
    writeTimeoutMs: MAX_TIMER_MS,
  });
  return {
    input: pipes,
    get heldBytes() {
      return pipes.stats().heldBytes;
    },
    write(message) {
      if (toPeople) return pipes.send(`${showMessage(message, show)}\n`);
      return pipes.send(show.hex ? `${message.toHex()}\n` : message);
    },
    flush: () => pipes.flush(),
    stopInput: () => pipes.drain(),
    left: new Promise(() => {}),
  };
}
