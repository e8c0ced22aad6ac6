// IpcLedger: the naive reference model of IPC messages: what each writer learned, and what each reader got.
import { Buffer } from "node:buffer";
import { assert } from "@std/assert";
import { codeOf, contentAt } from "./model_flow.ts";

/** The type of a message is its flow and its place in it. */
const MAX_IN_FLOW = 65_536;

/** Longer than any reader rests where processes are killed. */
const UNREAD_MS = 4000;

/** What became of a message for its writer. */
type Fate = "under way" | "accepted" | "confirmed" | "told lost";

interface Sent {
  readonly length: number;
  fate: Fate;
  confirmedAtMs?: number | undefined;
  /** The life that read it. */
  readBy: string | undefined;
}

/** What one writer has written, to whatever process was there. */
export class IpcFlow {
  readonly sent: Sent[] = [];
  readonly id: number;
  readonly from: string;
  /** The writer was killed: what it had not confirmed may be lost without a word. */
  killed = false;
  /** Losses that the writer learned of. */
  losses = 0;
  /** The last one that was read of each connection: their order is kept within one. */
  readonly #lastRead = new Map<unknown, number>();

  readonly #nowMs: () => number;

  constructor(id: number, from: string, nowMs: () => number) {
    this.#nowMs = nowMs;
    this.id = id;
    this.from = from;
  }

  /** Writes the next message, and notes what the writer learns of it. */
  async write(
    length: number,
    write: (type: number, data: Uint8Array) => Promise<void>,
  ): Promise<boolean> {
    const place = this.sent.length;
    assert(place < MAX_IN_FLOW, "The flow is too long for the model");
    const sent: Sent = { length, fate: "under way", readBy: undefined };
    this.sent.push(sent);
    try {
      await write(this.id * MAX_IN_FLOW + place, contentAt(this.id + place, 0, length));
      // A flush may have reported more meanwhile.
      if (sent.fate === "under way") sent.fate = "accepted";
      return true;
    } catch (error) {
      sent.fate = "told lost";
      checkLossCode("write()", error);
      return false;
    }
  }

  /** Asks whether all that was written before has arrived; `false` when the writer learned of a loss. */
  async confirm(flush: () => Promise<void>): Promise<boolean> {
    const before = this.sent.filter(({ fate }) => fate === "accepted");
    try {
      await flush();
      for (const sent of before) {
        if (sent.fate !== "accepted") continue;
        sent.fate = "confirmed";
        sent.confirmedAtMs = this.#nowMs();
      }
      return true;
    } catch (error) {
      checkLossCode("flush() or close()", error);
      this.losses++;
      // Called for all that was under way until now.
      for (const sent of this.sent) if (sent.fate === "accepted") sent.fate = "told lost";
      return false;
    }
  }

  /** A reader got a message. */
  take(place: number, data: Uint8Array, reader: string, connection: unknown): void {
    const sent = this.sent[place];
    assert(
      sent !== undefined,
      `${reader} read message ${place} of ${this.from}, which was never written`,
    );
    const last = this.#lastRead.get(connection) ?? -1;
    assert(place > last, `${reader} read message ${place} of ${this.from} after ${last}`);
    assert(sent.readBy === undefined, `${reader} read message ${place} of ${this.from} once more`);
    assert(data.length === sent.length, `${reader} read ${data.length} of ${sent.length} bytes`);
    const wanted = contentAt(this.id + place, 0, sent.length);
    const wrongAt = Buffer.compare(data, wanted) === 0
      ? -1
      : data.findIndex((byte, at) => byte !== wanted[at]);
    assert(
      wrongAt < 0,
      `${reader} read a wrong byte at ${wrongAt} of ${data.length} that ${this.from} wrote`,
    );
    this.#lastRead.set(connection, place);
    sent.readBy = reader;
  }
}

/** What a loss may be called. */
const LOSS_CODES = new Set([
  "ERR_RESET",
  "ERR_GOING_AWAY",
  "ERR_CLOSED",
  "ERR_WRITE_TIMEOUT",
  "killed",
]);

/** Fails for an end that no legal program can have brought about. */
export function checkLossCode(what: string, error: unknown): void {
  assert(
    LOSS_CODES.has(codeOf(error)),
    `${what} failed with ${codeOf(error)}: ${(error as Error)?.stack}`,
  );
}

/** All flows of a life of the world. */
export class IpcLedger {
  readonly flows: IpcFlow[] = [];
  /** When processes were killed: what they had received and not read is lost. */
  readonly #killedAtMs: number[] = [];
  readonly #nowMs: () => number;
  /** Messages that were read. */
  messages = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** A process is killed now. */
  kill(): void {
    this.#killedAtMs.push(this.#nowMs());
  }

  /** A new writer. */
  open(from: string): IpcFlow {
    const flow = new IpcFlow(this.flows.length + 1, from, this.#nowMs);
    this.flows.push(flow);
    return flow;
  }

  /** A reader got a message. */
  take(type: number, data: Uint8Array, reader: string, connection: unknown): void {
    const flow = this.flows[Math.floor(type / MAX_IN_FLOW) - 1];
    assert(flow !== undefined, `${reader} read a message of type ${type}, which no program wrote`);
    flow.take(type % MAX_IN_FLOW, data, reader, connection);
    this.messages++;
  }

  /** Checks that nothing was lost untold. Every reader has read to its end. */
  check(): void {
    for (const flow of this.flows) {
      for (const [place, { fate, readBy, confirmedAtMs = 0 }] of flow.sent.entries()) {
        if (readBy !== undefined || fate === "told lost") continue;
        if (flow.killed && fate !== "confirmed") continue;
        // What had arrived dies unread with a process that is killed soon afterwards.
        const wasUnread = (atMs: number) =>
          atMs >= confirmedAtMs && atMs - confirmedAtMs < UNREAD_MS;
        if (fate === "confirmed" && this.#killedAtMs.some(wasUnread)) continue;
        throw new Error(`Message ${place} of ${flow.from} was ${fate}, and no program read it`);
      }
    }
  }

  /** Losses that were reported. */
  get losses(): number {
    return this.flows.reduce((sum, { losses }) => sum + losses, 0);
  }
}
