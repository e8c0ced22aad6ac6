// parley keygen: makes secrets for IPC, and tokens for hubs.
import { SecretKey } from "../../ipc/mod.ts";
import type { Command } from "../command/command.ts";
import { print, say } from "../output/talk.ts";

/** Bytes of a token: 256 bits cannot be guessed. */
const TOKEN_BYTES = 32;

const secretCommand: Command = {
  name: "secret",
  summary: "Make a secret for IPC",
  about:
    `Makes a secret of 32 random bytes, by which processes that talk over IPC prove to each other who they are. It
    goes to FILE, which only its owner can read; a file that is there already is never replaced.`,
  operands: "FILE",
  examples: ["parley keygen secret channel.key"],
  async run(args) {
    const file = args.operand("FILE");
    using secret = SecretKey.generate();
    await unlessThere(file, secret.toFile(file));
    say(`wrote a new secret to ${file}; only its owner can read it`);
    return 0;
  },
};

const tokenCommand: Command = {
  name: "token",
  summary: "Make a token for a hub",
  about:
    `Makes a token, one line of text with 256 random bits, by which a client shows a hub that it may join. It goes
    to standard output, or to FILE, which only its owner can read; a file that is there already is never replaced.`,
  operands: "[FILE]",
  examples: ["parley keygen token hub.token"],
  async run(args) {
    const file = args.optionalOperand();
    const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
    const token = bytes.toBase64({ alphabet: "base64url", omitPadding: true });
    if (file === undefined) {
      print(token);
      return 0;
    }
    await unlessThere(
      file,
      Deno.writeTextFile(file, `${token}\n`, { createNew: true, mode: 0o600 }),
    );
    say(`wrote a new token to ${file}; only its owner can read it`);
    return 0;
  },
};

/** `parley keygen` */
export const keygenCommand: Command = {
  name: "keygen",
  summary: "Make a secret for IPC, or a token for a hub",
  about: "Makes secrets from the system's random source.",
  examples: ["parley keygen secret channel.key", "parley keygen token hub.token"],
  commands: [secretCommand, tokenCommand],
};

async function unlessThere(file: string, written: Promise<void>): Promise<void> {
  try {
    await written;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new Deno.errors.AlreadyExists(`Cannot write: ${JSON.stringify(file)} is there already`);
  }
}
