// Questions and answers of the models of messages: each names its sender, and bears bytes that show
// whether it came whole.
import { Buffer } from "node:buffer";
import { assert } from "@std/assert";
import { contentAt } from "./model_flow.ts";

/** One question, and what it takes to answer it. */
export interface Question {
  /** Who asks. */
  readonly who: string;
  /** Its number among the questions of its caller, from 0. */
  readonly number: number;
  /** Bytes that it bears. */
  readonly bytes: number;
  /** Bytes of each answer; none for a note, which is not answered. */
  readonly answerBytes: number;
  /** Messages of the answer. */
  readonly parts: number;
  /** Time that the server works on it. */
  readonly workMs: number;
  /** Time between two messages of the answer. */
  readonly everyMs: number;
}

/** A part of an answer. */
export interface Answer {
  readonly who: string;
  readonly number: number;
  readonly part: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Makes a question; what is absent is small, and at once. */
export function question(who: string, number: number, rest: Partial<Question> = {}): Question {
  return { bytes: 20, answerBytes: 20, parts: 1, workMs: 0, everyMs: 0, ...rest, who, number };
}

/** What a peer speaks first where the server wants that. */
export function hello(who: string): string {
  return `hello ${who}`;
}

/** Who a hello is from, or `null` when a message is none. */
export function helloOf(message: Uint8Array): string | null {
  if (message[0] !== 0x68) return null;
  return decoder.decode(message).slice("hello ".length);
}

/** The message of a question. */
export function encodeQuestion(asked: Question): Uint8Array {
  return frame(JSON.stringify(asked), asked.number, asked.bytes);
}

/** Reads a question; fails when a byte of it is wrong. */
export function decodeQuestion(message: Uint8Array): Question {
  const { head, rest } = unframe(message);
  const asked = JSON.parse(head) as Question;
  checkContent(rest, asked.number, asked.bytes);
  return asked;
}

/** One message of an answer. */
export function encodeAnswer({ who, number, answerBytes }: Question, part: number): Uint8Array {
  return frame(
    JSON.stringify({ who, number, part, bytes: answerBytes }),
    number + part,
    answerBytes,
  );
}

/** Reads an answer; fails when a byte of it is wrong. */
export function decodeAnswer(message: Uint8Array): Answer {
  const { head, rest } = unframe(message);
  const answer = JSON.parse(head) as Answer & { bytes: number };
  checkContent(rest, answer.number + answer.part, answer.bytes);
  return answer;
}

function frame(head: string, salt: number, bytes: number): Uint8Array {
  const start = encoder.encode(`${head}\n`);
  const message = new Uint8Array(start.length + bytes);
  message.set(start);
  message.set(contentAt(salt, 0, bytes), start.length);
  return message;
}

function unframe(message: Uint8Array): { head: string; rest: Uint8Array } {
  const end = message.indexOf(10);
  assert(end >= 0, "a message came that was never sent");
  return { head: decoder.decode(message.subarray(0, end)), rest: message.subarray(end + 1) };
}

function checkContent(rest: Uint8Array, salt: number, bytes: number): void {
  const wanted = contentAt(salt, 0, bytes);
  assert(
    Buffer.compare(rest, wanted) === 0,
    `a message of ${bytes} bytes came with ${rest.length}, or wrong`,
  );
}
