// Mutation fuzzing of the decoders: frames are damaged and cut at random; only typed errors may come out.
//
// `deno task fuzz` does it for longer: `PARLEY_FUZZ_RUNS` sets by how much, `PARLEY_SEED` the first seed.
import { assert, assertEquals } from "@std/assert";
import { FramingError } from "../../errors.ts";
import { concat, pattern } from "../support/bytes.ts";
import { forSeeds, type Random } from "../support/random.ts";
import { decodeChunks, decodeWithModel, type Model, models } from "./models.ts";

/** Bytes that matter to some framing. */
const TELLING = [0, 1, 2, 3, 4, 10, 13, 0x7f, 0x80, 0x81, 0xff];

/** A few frames one behind the other, so that most of a mutated input is still what a decoder expects. */
function frames(model: Model, random: Random): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let count = random.int(0, 12); count > 0; count--) {
    const message = random.chance(0.7)
      ? random.bytes(random.length(40), model.alphabet)
      : pattern(random.length(300), random.int(0, 255));
    const frame = model.encode(message);
    if (frame !== undefined) parts.push(frame);
  }
  return concat(parts);
}

/** Damages bytes as a hostile or broken peer might. */
function mutate(input: Uint8Array, random: Random): Uint8Array {
  let bytes = input;
  for (let count = random.int(0, 4); count > 0; count--) {
    const at = random.int(0, bytes.length);
    const head = bytes.slice(0, at);
    const tail = bytes.slice(at);
    const size = random.length(20);
    bytes = random.pick([
      () => concat([head, tail.slice(size)]),
      () => concat([head, random.bytes(size), tail]),
      () => concat([head, new Uint8Array(size).fill(random.pick(TELLING)), tail.slice(size)]),
      () => concat([head, bytes.slice(random.int(0, at)), tail]),
      () => concat([head, tail.map((byte, i) => i === 0 ? byte ^ (1 << random.int(0, 7)) : byte)]),
      () => concat([tail, head]),
      () => head,
    ])();
    if (bytes.length > 4000) bytes = bytes.slice(0, 4000);
  }
  return bytes;
}

for (const model of models) {
  const { framing } = model;

  Deno.test(`${framing.name} decodes damaged frames as its model does, or errs as it does`, () => {
    forSeeds(60, (random) => {
      const input = mutate(frames(model, random), random);
      const maxMessageBytes = random.pick([3, 16, 100, 2 ** 20]);
      const expected = decodeWithModel(model, input, maxMessageBytes);
      for (const most of [1, 3, 50, input.length]) {
        const decoder = framing.decoder({ maxMessageBytes });
        const got = decodeChunks(decoder, random.cut(input, Math.max(1, most)), expected.ends);
        assertEquals(got.outcome, expected.outcome);
        assertEquals(got.messages.length, expected.messages.length);
        got.messages.forEach((message, i) => assertEquals(message, expected.messages[i]));
      }
    });
  });

  Deno.test(`${framing.name} survives any order of calls`, () => {
    forSeeds(60, (random) => {
      const input = mutate(frames(model, random), random);
      let decoder = framing.decoder({ maxMessageBytes: 50 });
      const pieces = random.cut(input, 30);
      let given = 0;
      let taken = 0;
      for (const piece of pieces) {
        decoder.push(piece);
        given += piece.length;
        try {
          for (let i = random.int(0, 3); i > 0; i--) taken += decoder.next()?.length ?? 0;
          if (random.chance(0.1)) decoder.end();
        } catch (error) {
          assert(error instanceof FramingError, String(error));
        }
        if (random.chance(0.2)) {
          const rest = decoder.takeRest();
          assertEquals(decoder.heldBytes, 0);
          decoder = framing.decoder({ maxMessageBytes: 50 });
          decoder.push(rest);
          assertEquals(decoder.heldBytes, rest.length);
        }
        assert(decoder.heldBytes >= 0 && decoder.heldBytes + taken <= given);
      }
    });
  });
}
