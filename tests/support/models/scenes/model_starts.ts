// Servers that are ended at any moment of their start: they are over then, and nothing listens.
import { assert, assertEquals } from "@std/assert";
import { serve } from "../../../../server.ts";
import { ParleyError } from "../../../../errors.ts";
import { onStage } from "./model_stage.ts";
import type { Random } from "../../random.ts";

/** Turns of the microtask queue in which a server starts, and some more. */
const START_HOPS = 40;

/** Starts one, and ends it. */
export async function simulateStart(random: Random): Promise<void> {
  const how = random.pick(["close", "shutdown", "signal", "twice", "taken"] as const);
  const hops = random.int(0, START_HOPS);
  let state = "none";
  await onStage(random, {}, async ({ user }) => {
    if (how === "taken") return await failToStart(user.signal);
    const controller = new AbortController();
    const server = serve(
      { signal: how === "signal" ? controller.signal : user.signal, onError: () => {} },
      () => {},
    );
    for (let hop = 0; hop < hops; hop++) await null;
    if (how === "signal") controller.abort(new Error("The program ends"));
    else if (how === "close") server.abort();
    else void server.shutdown();
    if (how === "twice") server.abort();
    const [ready] = await Promise.allSettled([server.ready]);
    if (ready.status === "rejected" && how !== "signal") {
      assert(ready.reason instanceof ParleyError, `ready rejected with ${ready.reason}`);
    }
    state = server.state;
    await server.finished;
    assertEquals(server.state, "stopped");
  }, () => `A server that was ended by ${how} after ${hops} hops is in state ${state}`);
}

/** One that cannot listen, as another does. */
async function failToStart(signal: AbortSignal): Promise<void> {
  const first = serve({ signal }, () => {});
  await first.ready;
  assert(first.addr.transport === "tcp");
  const second = serve({ port: first.addr.port, signal, onError: () => {} }, () => {});
  const ends = await Promise.allSettled([second.ready, second.finished]);
  for (const end of ends) {
    assert(
      end.status === "rejected" && end.reason.code === "ERR_ADDRESS_IN_USE",
      JSON.stringify(end),
    );
  }
  await first.shutdown();
}
