// Every framing against its model: random messages and random bytes, cut in random ways.
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { FramingError } from "../../errors.ts";
import type { FrameEncoder } from "../../framing.ts";
import { concat, cutAt, everyCut } from "../support/bytes.ts";
import { effort, propertySeed } from "../support/random.ts";
import { decodeChunks, decodeInBatches, decodeWithModel, type Model, models } from "./models.ts";

const parameters = { seed: propertySeed, numRuns: 80 * effort };

/** One frame by the real encoder, or `undefined` when it refuses. */
function encode(encoder: FrameEncoder, message: Uint8Array): Uint8Array | undefined {
  try {
    const body = encoder.body(message);
    const frame = new Uint8Array(body.length + encoder.maxOverhead);
    const start = encoder.writeHead(body, frame, 0);
    frame.set(body, start);
    return frame.slice(0, encoder.writeTail(body, frame, start + body.length));
  } catch (error) {
    if (error instanceof FramingError) return undefined;
    throw error;
  }
}

function bytesOf(model: Model, maxLength: number): fc.Arbitrary<Uint8Array> {
  return fc.array(fc.constantFrom(...model.alphabet), { maxLength, size: "max" }).map((bytes) =>
    new Uint8Array(bytes)
  );
}

/** Offsets to cut at, as fractions of a length that is not known yet. */
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });

function cutAtFractions(bytes: Uint8Array, fractions: readonly number[]): Uint8Array[] {
  const offsets = fractions.map((fraction) => Math.floor(fraction * bytes.length));
  return cutAt(bytes, offsets.sort((a, b) => a - b));
}

for (const model of models) {
  const { framing } = model;

  Deno.test(`${framing.name} encodes as its model does, and refuses the same messages`, () => {
    const encoder = framing.encoder({ maxMessageBytes: 1000 });
    fc.assert(
      fc.property(fc.oneof(bytesOf(model, 12), bytesOf(model, 400)), (message) => {
        assertEquals(encode(encoder, message), model.encode(message));
      }),
      parameters,
    );
  });

  Deno.test(`${framing.name} gives the messages that were encoded, however the bytes are cut`, () => {
    fc.assert(
      fc.property(fc.array(bytesOf(model, 20), { maxLength: 8 }), cuts, (messages, fractions) => {
        const sendable = messages.filter((message) => model.encode(message) !== undefined);
        const input = concat(sendable.map((message) => model.encode(message)!));
        const { ends } = decodeWithModel(model, input, 20);
        const decoder = framing.decoder({ maxMessageBytes: 20 });
        const decoded = decodeChunks(decoder, cutAtFractions(input, fractions), ends);
        assertEquals(decoded, { messages: sendable, ends, outcome: "whole" });
      }),
      parameters,
    );
  });

  Deno.test(`${framing.name} decodes any bytes as its model does, however they are cut`, () => {
    const limits = fc.integer({ min: 3, max: 12 });
    fc.assert(
      fc.property(bytesOf(model, 80), limits, cuts, (input, maxMessageBytes, fractions) => {
        const expected = decodeWithModel(model, input, maxMessageBytes);
        const decoder = framing.decoder({ maxMessageBytes });
        assertEquals(
          decodeChunks(decoder, cutAtFractions(input, fractions), expected.ends),
          expected,
        );
      }),
      { ...parameters, numRuns: 3 * parameters.numRuns },
    );
  });

  Deno.test(`${framing.name} decodes any short bytes as its model does, cut at every point`, () => {
    fc.assert(
      fc.property(bytesOf(model, 18), (input) => {
        const expected = decodeWithModel(model, input, 5);
        for (const chunks of everyCut(input)) {
          const decoder = framing.decoder({ maxMessageBytes: 5 });
          assertEquals(decodeChunks(decoder, chunks, expected.ends), expected);
        }
      }),
      { ...parameters, numRuns: Math.ceil(parameters.numRuns / 10) },
    );
  });

  Deno.test(`${framing.name} decodes in batches what it decodes one by one, and gives up the same`, () => {
    fc.assert(
      fc.property(bytesOf(model, 40), cuts, fc.nat(6), (input, fractions, most) => {
        // Small enough for messages that are too large to come whole.
        const maxMessageBytes = most % 2 === 0 ? 40 : 5;
        const expected = decodeWithModel(model, input, maxMessageBytes);
        const chunks = cutAtFractions(input, fractions);
        const decoder = framing.decoder({ maxMessageBytes });
        const { messages, outcome } = decodeInBatches(decoder, chunks, most + 1);
        assertEquals([messages, outcome], [expected.messages, expected.outcome]);

        const partial = framing.decoder({ maxMessageBytes });
        for (const chunk of chunks) partial.push(chunk);
        const taken: Uint8Array[] = [];
        try {
          partial.nextInto!(taken, most + 1);
        } catch (error) {
          if (!(error instanceof FramingError)) throw error;
        }
        const end = taken.length === 0 ? 0 : expected.ends[taken.length - 1]!;
        assertEquals(partial.takeRest(), input.slice(end));
      }),
      parameters,
    );
  });

  Deno.test(`${framing.name} gives up exactly what it has not decoded, and decodes on from that`, () => {
    fc.assert(
      fc.property(bytesOf(model, 40), cuts, fc.nat(40), (input, fractions, takenAfter) => {
        const expected = decodeWithModel(model, input, 40);
        const first = framing.decoder({ maxMessageBytes: 40 });
        const messages: Uint8Array[] = [];
        let poisoned = false;
        const chunks = cutAtFractions(input, fractions);
        const before = chunks.splice(0, takenAfter % (chunks.length + 1));
        for (const chunk of before) first.push(chunk);
        const wanted = takenAfter % 3 === 0 ? expected.messages.length : takenAfter % 5;
        try {
          while (messages.length < wanted) {
            const message = first.next();
            if (message === undefined) break;
            messages.push(message);
          }
        } catch (error) {
          if (!(error instanceof FramingError)) throw error;
          poisoned = true;
        }
        const end = messages.length === 0 ? 0 : expected.ends[messages.length - 1]!;
        const rest = first.takeRest();
        assertEquals(rest, concat(before).slice(end));
        assertEquals(first.heldBytes, 0);
        assertEquals(first.takeRest().length, 0);

        // Another decoder goes on, or the same one if nothing was wrong yet.
        const second = poisoned || fractions.length % 2 === 0
          ? framing.decoder({ maxMessageBytes: 40 })
          : first;
        const decoded = decodeChunks(second, [rest, ...chunks]);
        assertEquals([...messages, ...decoded.messages], expected.messages);
        assertEquals(decoded.outcome, expected.outcome);
      }),
      parameters,
    );
  });
}
