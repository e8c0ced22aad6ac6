// Checks of feeds, collects and talks, which every carrier with streams must pass.
import { caller, CallError } from "@parley/parley/calls";
import { RemoteError, SchemaError } from "@parley/parley";
import { assertEquals, assertInstanceOf } from "@std/assert";
import { errorOf } from "../../support/peers/servers.ts";
import { settles } from "../../support/wait.ts";
import { crooked, newer, other } from "../programs/contract.ts";
import type { Checks } from "./call_checks.ts";

/** All that comes, and the error that ended it. */
async function drain<T>(items: AsyncIterable<T>): Promise<{ got: T[]; error: unknown }> {
  const got: T[] = [];
  const reading = async () => {
    for await (const item of items) got.push(item);
  };
  const error = await settles("the end of a feed", reading().then(() => undefined, (e) => e));
  return { got, error };
}

/** Whole numbers from 0 on. */
function numbers(length: number): number[] {
  return Array.from({ length }, (_, n) => n);
}

/** Checks of the kinds with many values. */
export const STREAM_CHECKS: Checks = {
  async "a feed yields all in order, to its end"(carried) {
    const { got, error } = await drain(carried.remote.count({ id: "whole", to: 1000 }));
    assertEquals(error, undefined);
    assertEquals(got.map(({ n }) => n), numbers(1000));
    assertEquals((await carried.event("left", "whole"))["n"], 1000);
  },

  async "a feed that is left ends its handler"(carried) {
    let last = -1;
    for await (const { n } of carried.remote.count({ id: "early", to: null })) {
      last = n;
      if (n === 3) break;
    }
    assertEquals(last, 3);
    await carried.event("left", "early");
  },

  async "a feed that is given up ends with the reason, and ends its handler"(carried) {
    const giveUp = new AbortController();
    const reason = new Error("enough");
    const feed = carried.remote.count({ id: "given", to: null }, { signal: giveUp.signal });
    let after = 0;
    const reading = async () => {
      for await (const { n } of feed) {
        if (giveUp.signal.aborted) after++;
        if (n === 5) giveUp.abort(reason);
      }
    };
    assertEquals(await settles("its end", errorOf(reading())), reason);
    assertEquals(after, 0);
    await carried.event("left", "given");
  },

  async "a feed that fails yields what came before"(carried) {
    const { got, error } = await drain(
      carried.remote.count({ id: "dry", to: 3, fails: true }),
    );
    assertEquals(got.map(({ n }) => n), [0, 1, 2]);
    assertInstanceOf(error, CallError);
    assertEquals([error.code, error.data], ["ERR_DRY", { n: 3 }]);
  },

  async "a feed checks its input and each output"({ remote }) {
    assertEquals((await drain(remote.checked({ to: 3 }))).got, [0, 1, 2]);
    const wrong = await drain(remote.checked({ to: "three" as unknown as number }));
    assertInstanceOf(wrong.error, SchemaError);
    assertEquals([wrong.error.code, wrong.error.issues[0]?.path], ["ERR_INPUT_INVALID", ["to"]]);
    const lie = await drain(remote.lying("please"));
    assertInstanceOf(lie.error, SchemaError);
    assertEquals([lie.got, lie.error.code], [[1], "ERR_OUTPUT_INVALID"]);
  },

  async "a feed that the answerer does not know, or knows otherwise, is refused"({ via }) {
    const unknown = await drain(caller(via, newer).missingFeed());
    const versions = await drain(caller(via, other).count());
    const kinds = await drain(caller(via, crooked).seen());
    for (const { error } of [unknown, versions, kinds]) assertInstanceOf(error, RemoteError);
    assertEquals(
      [unknown, versions, kinds].map(({ error }) => (error as RemoteError).code),
      ["ERR_UNKNOWN_CALL", "ERR_CONTRACT_MISMATCH", "ERR_CONTRACT_MISMATCH"],
    );
  },

  async "items of a mebibyte cross whole"({ remote }) {
    const { got, error } = await drain(remote.count({ id: "", to: 3, ballast: 2 ** 20 - 1024 }));
    assertEquals(error, undefined);
    assertEquals(got.map(({ ballast }) => ballast?.length), numbers(3).map(() => 2 ** 20 - 1024));
  },

  async "a collect takes many values, checks each, and answers once"({ remote }) {
    assertEquals(await settles("a sum", remote.sum(numbers(1000))), 499_500);
    assertEquals(await settles("no sum", remote.sum([])), 0);
    async function* later() {
      yield 1;
      await Promise.resolve();
      yield 2;
    }
    assertEquals(await settles("a sum", remote.sum(later())), 3);
    const error = await settles(
      "a refusal",
      errorOf(remote.sum([1, "two" as unknown as number, 3])),
    );
    assertInstanceOf(error, SchemaError);
    assertEquals(error.code, "ERR_INPUT_INVALID");
  },

  async "a collect whose handler has heard enough ends its source"({ remote }) {
    let returned = false;
    async function* endless() {
      try {
        for (let n = 7;; n++) yield n;
      } finally {
        returned = true;
      }
    }
    assertEquals(await settles("the first", remote.firstOf(endless())), 7);
    assertEquals(returned, true);
  },

  async "a talk goes both ways, and may be half closed"({ remote }) {
    const heard: string[] = [];
    const turn: { next?: (line: string | null) => void } = {};
    async function* lines() {
      yield "a";
      for (;;) {
        const line = await new Promise<string | null>((resolve) => turn.next = resolve);
        if (line === null) return;
        yield line;
      }
    }
    const talking = async () => {
      for await (const line of remote.shout(lines())) {
        heard.push(line);
        while (turn.next === undefined) await Promise.resolve();
        turn.next(heard.length < 5 ? `b${heard.length}` : null);
      }
    };
    await settles("the talk", talking());
    assertEquals(heard, ["A", "B1", "B2", "B3", "B4", "THE END"]);
  },
};
