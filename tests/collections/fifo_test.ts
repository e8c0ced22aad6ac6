// Tests of the queue: order, and what it forgets, against a plain array.
import { assertEquals } from "@std/assert";
import { Fifo } from "../../collections/fifo.ts";
import { Random } from "../support/random.ts";

Deno.test("Fifo hands out what was put in, in order, and nothing once it is empty", () => {
  const queue = new Fifo<number>();
  assertEquals([queue.size, queue.peek(), queue.at(0), queue.shift()], [
    0,
    undefined,
    undefined,
    undefined,
  ]);
  for (const item of [1, 2, 3]) queue.push(item);
  assertEquals([queue.size, queue.peek(), queue.at(0), queue.at(2), queue.at(3)], [
    3,
    1,
    1,
    3,
    undefined,
  ]);
  queue.replaceLast(4);
  assertEquals([queue.shift(), queue.at(1), queue.size], [1, 4, 2]);
  queue.replaceFirst(6);
  assertEquals([queue.peek(), queue.at(1), queue.size], [6, 4, 2]);
  queue.clear();
  queue.push(5);
  assertEquals([queue.size, queue.shift(), queue.shift()], [1, 5, undefined]);
});

Deno.test("Fifo agrees with an array over long random use, also while it never runs empty", () => {
  const random = new Random(7);
  const queue = new Fifo<number>();
  const model: number[] = [];
  for (let step = 0; step < 20_000; step++) {
    // It grows, then shrinks, in waves of a thousand steps.
    if (random.chance(Math.floor(step / 1000) % 2 === 0 ? 0.6 : 0.4)) {
      queue.push(step);
      model.push(step);
    } else if (random.chance(0.05) && model.length > 0) {
      queue.replaceLast(-step);
      model[model.length - 1] = -step;
    } else assertEquals(queue.shift(), model.shift());
    const index = random.int(0, 200);
    assertEquals([queue.size, queue.peek(), queue.at(index)], [
      model.length,
      model[0],
      model[index],
    ]);
  }
});
