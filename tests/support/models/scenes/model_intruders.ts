// Intruders: raw connections to serve() that break the rules of messages, or use them to the utmost.
import type { KernelSocket } from "../model_kernel.ts";
import type { ServeWorld } from "../model_serve.ts";
import { encodeQuestion, question } from "../model_talk.ts";
import type { Random } from "../../random.ts";

/** Time that an intruder stays, if it is let. */
export const STAY_MS = 150_000;

/** What an intruder does; it stays until it is thrown out, unless it says otherwise. */
type Offence = (socket: KernelSocket, stranger: Stranger) => Promise<void>;

interface Stranger {
  readonly random: Random;
  readonly name: string;
  readonly rest: (ms: number) => Promise<void>;
}

/** The offences by name. */
export const INTRUSIONS: Readonly<Record<string, Offence>> = {
  /** Says nothing. */
  silent: async () => {},
  /** Begins a message and does not end it. */
  half: (socket, { random }) =>
    send(socket, framed(random.bytes(random.int(10, 500))).subarray(0, random.int(1, 13))),
  /** One byte now and then of a message that takes for ever. */
  dribble: async (socket, { random, rest }) => {
    const bytes = framed(random.bytes(1000));
    for (let at = 0; at < bytes.length; at++) {
      await send(socket, bytes.subarray(at, at + 1));
      await rest(2000);
    }
  },
  /** What is no message. */
  garbage: (socket, { random }) => send(socket, random.bytes(random.int(1, 3000))),
  /** The header of a message of 4 GB, and as much of it as is taken. */
  huge: async (socket) => {
    await send(socket, new Uint8Array([255, 255, 255, 255]));
    for (let part = 0; part < 50; part++) await send(socket, new Uint8Array(65_536));
  },
  /** Another protocol. */
  http: (socket) => send(socket, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: here\r\n\r\n")),
  tls: (socket, { random }) =>
    send(socket, new Uint8Array([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...random.bytes(300)])),
  /** Asks for more than it ever reads. */
  deaf: async (socket, { name }) => {
    for (let number = 0; number < 400; number++) {
      await send(socket, framed(encodeQuestion(question(name, number, { answerBytes: 50_000 }))));
    }
  },
  /** As many messages as go, none of which is answered, and away before they are handled. */
  flood: async (socket, { name }) => {
    for (let number = 0; number < 600; number++) {
      await send(socket, framed(encodeQuestion(question(name, number, { parts: 0 }))));
    }
    socket.close();
  },
  /** The same, and stays. */
  flooder: async (socket, { name }) => {
    for (let number = 0; number < 150; number++) {
      await send(socket, framed(encodeQuestion(question(name, number))));
    }
  },
  /** Gone in the middle of a message. */
  cut: async (socket, { random }) => {
    await send(socket, framed(random.bytes(500)).subarray(0, 100));
    socket.reset();
  },
};

/** How many come, from where, and what they do. */
export interface Intruders {
  readonly hosts: readonly string[];
  readonly count: number;
  readonly offences: readonly string[];
  /** They come within so many ms. */
  readonly mostMs: number;
}

/** They come, and stay until they are thrown out. */
export async function intrude(
  { stage, port }: ServeWorld,
  random: Random,
  intruders: Intruders,
): Promise<void> {
  const { clock } = stage;
  const rest = (ms: number) => clock.sleep(ms);
  await Promise.all(Array.from({ length: intruders.count }, async (_, index) => {
    await rest(random.int(0, intruders.mostMs));
    const socket = await Deno.connect({
      hostname: random.pick(intruders.hosts),
      port,
    }) as KernelSocket;
    const offence = INTRUSIONS[random.pick(intruders.offences)]!;
    // It is thrown out in the middle of it, or has done its worst.
    const doing = offence(socket, { random, name: `intruder-${index}`, rest }).catch(() => {});
    await rest(STAY_MS);
    if (!socket.isClosed) socket.close();
    await doing;
  }));
}

async function send(socket: KernelSocket, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}

function framed(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length);
  new DataView(bytes.buffer).setUint32(0, body.length);
  bytes.set(body, 4);
  return bytes;
}
