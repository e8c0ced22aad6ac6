// Checks of calls with one answer, which every carrier must pass.
import { caller, CallError } from "@parley/parley/calls";
import { ParleyError, RemoteError, SchemaError, TimeoutError } from "@parley/parley";
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { pattern } from "../../support/bytes.ts";
import { errorOf } from "../../support/peers/servers.ts";
import { settles } from "../../support/wait.ts";
import type { Carried } from "../carried.ts";
import { crooked, newer, other } from "../programs/contract.ts";

/** What is checked, by name. */
export type Checks = Readonly<Record<string, (carried: Carried) => Promise<void>>>;

/** A value that every carrier takes: a mebibyte, and room for what goes before it. */
const LARGE_BYTES = 2 ** 20 - 1024;

/** A value that none takes. */
const TOO_LARGE_BYTES = 2 ** 25;

/** The error of a call; `what` says what was awaited when there is none. */
async function refusal(what: string, work: Promise<unknown>): Promise<Error> {
  return await settles(what, errorOf(work));
}

/** Checks of calls with one answer. */
export const CALL_CHECKS: Checks = {
  async "the result arrives"({ remote }) {
    assertEquals(await settles("a sum", remote.add({ a: 1, b: 2 })), 3);
  },

  async "every JSON value crosses, and so do undefined and null"({ remote }) {
    const values = [0, -1.5, "", "ä\u2028", true, [], {}, [null, [1]], { a: { b: "c" } }, null];
    for (const value of values) {
      assertEquals(await settles("an echo", remote.echo(value)), value);
    }
    assertEquals(await settles("an echo", remote.echo(undefined)), undefined);
    assertEquals(await settles("nothing", remote.nothing()), undefined);
    assertEquals(await settles("null", remote.nullable(null)), null);
  },

  async "the handler learns who calls what, and until when"({ remote, carrier }) {
    const seen = await settles("what it saw", remote.seen(undefined, { timeoutMs: 10_000 }));
    assertEquals([seen.peer, seen.name], [carrier.peer, "table.seen"]);
    assert(seen.leftMs !== null && seen.leftMs <= 10_000 && seen.leftMs > 1000, `${seen.leftMs}`);
  },

  async "64 calls at once each get their own answer"({ remote }) {
    const calls = Array.from({ length: 64 }, (_, a) => remote.add({ a, b: 1000 }));
    assertEquals(
      await settles("all", Promise.all(calls)),
      Array.from({ length: 64 }, (_, a) => a + 1000),
    );
  },

  async "a CallError crosses with its code, text and data"({ remote }) {
    const error = await refusal("a refusal", remote.add({ a: 1001, b: 0 }));
    assertInstanceOf(error, CallError);
    assertEquals([error.code, error.data], ["ERR_TOO_BIG", { max: 1000 }]);
    assertStringIncludes(error.message, "That is too much");
  },

  async "what else a handler throws stays at the answerer, and is reported there"(carried) {
    const secret = crypto.randomUUID();
    const error = await refusal("a failure", carried.remote.fails(secret));
    assertInstanceOf(error, RemoteError);
    assertEquals(error.code, "ERR_HANDLER");
    assert(!`${error.message} ${error.stack} ${error.cause}`.includes(secret), error.message);
    const event = await settles(
      "the report",
      carried.program.next((event) => event["text"]?.includes(secret)),
    );
    assertEquals(event["failed"], "Error");
  },

  async "an input that does not fit is refused, and its caller learns where"({ remote }) {
    const wrong = { a: 1, b: "two" as unknown as number };
    const error = await refusal("a refusal", remote.add(wrong));
    assertInstanceOf(error, SchemaError);
    assertEquals([error.code, error.issues[0]?.path], ["ERR_INPUT_INVALID", ["b"]]);
    assertEquals(await settles("the next", remote.add({ a: 1, b: 2 })), 3);
  },

  async "an output that does not fit is refused by its caller"({ remote }) {
    const error = await refusal("a refusal", remote.lies("please"));
    assertInstanceOf(error, SchemaError);
    assertEquals(error.code, "ERR_OUTPUT_INVALID");
  },

  async "a call that the answerer does not know is refused"({ via, remote }) {
    const error = await refusal("a refusal", caller(via, newer).missing());
    assertInstanceOf(error, RemoteError);
    assertEquals(error.code, "ERR_UNKNOWN_CALL");
    assertEquals(await settles("the next", remote.add({ a: 1, b: 2 })), 3);
  },

  async "a contract that does not fit is refused"({ via, remote }) {
    for (const call of [caller(via, other).seen(), caller(via, crooked).count()]) {
      const error = await refusal("a refusal", call);
      assertInstanceOf(error, RemoteError);
      assertEquals(error.code, "ERR_CONTRACT_MISMATCH");
    }
    assertEquals(await settles("the next", remote.add({ a: 1, b: 2 })), 3);
  },

  async "a value of a mebibyte crosses whole"({ remote }) {
    const large = pattern(LARGE_BYTES);
    const back = await settles("a large value", remote.blob(large));
    assertEquals(back.length, large.length);
    assert(back.every((byte, i) => byte === large[i]), "it came back otherwise");
  },

  async "a value that is too large is refused, and costs nothing else"({ remote }) {
    const beside = remote.waits({ id: "beside", ms: 200 });
    const error = await refusal("too large", remote.blob(new Uint8Array(TOO_LARGE_BYTES)));
    assertInstanceOf(error, ParleyError);
    await settles("the call beside it", beside);
    assertEquals(await settles("the next", remote.add({ a: 1, b: 2 })), 3);
  },

  async "a deadline ends the call, and the handler's signal fires"(carried) {
    const { remote } = carried;
    const error = await refusal("a timeout", remote.hangs("late", { timeoutMs: 100 }));
    assertInstanceOf(error, TimeoutError);
    assertEquals(error.code, "ERR_CALL_TIMEOUT");
    await carried.event("aborted", "late");
  },

  async "giving up ends the call, and the handler's signal fires"(carried) {
    const giveUp = new AbortController();
    const call = carried.remote.hangs("given-up", { signal: giveUp.signal });
    call.catch(() => {});
    await carried.event("hangs", "given-up");
    const reason = new Error("enough");
    giveUp.abort(reason);
    assertEquals(await refusal("the reason", call), reason);
    await carried.event("aborted", "given-up");
  },

  async "the handler's signal does not fire when the call succeeds"(carried) {
    await settles("it waits", carried.remote.waits({ id: "calm", ms: 1 }, { timeoutMs: 30_000 }));
    for (let i = 0; i < 20; i++) await carried.remote.nothing();
    await carried.event("waited", "calm");
    const fired = carried.events.filter((event) => event["fired"] === "calm");
    assertEquals(fired, []);
  },
};
