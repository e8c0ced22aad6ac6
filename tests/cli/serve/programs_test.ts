// Tests of Programs in several threads: who ends what, when a thread has died.
import { assert, assertEquals } from "@std/assert";
import { newFamily } from "../../../cli/commands/serve/leftovers.ts";
import { type ProgramClient, Programs } from "../../../cli/commands/serve/programs.ts";
import type { Logger } from "../../../log/logger.ts";
import { isAlive, untilGone } from "../../support/programs/alive.ts";

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A client that stays. */
const client: ProgramClient = {
  id: "1",
  remoteAddr: { transport: "memory", name: "client" },
  closed: new Promise(() => {}),
};

/** Programs of one thread, which say their number and stay. */
function programsOf(family: string, worker?: number): Programs {
  const args = ["-c", "echo $$; exec sleep 600"];
  return new Programs({
    ...{ command: "sh", args, maxPrograms: 1, logger: quiet },
    thread: { family, worker },
  });
}

/** Starts a program whose pipes are closed at the end. Returns its number. */
async function start(programs: Programs, stack: DisposableStack): Promise<number> {
  const { pipes } = programs.start(client);
  stack.defer(() => pipes.close());
  return Number(new TextDecoder().decode((await pipes.read())!));
}

Deno.test({
  name: "Programs of a thread end what the one before it left, those of the main thread end all",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using stack = new DisposableStack();
    const family = newFamily();
    await using main = programsOf(family);
    await using dead = programsOf(family, 1);
    await using other = programsOf(family, 11);
    const [ofDead, ofOther] = [await start(dead, stack), await start(other, stack)];
    await programsOf(family, 1).endAll();
    await untilGone("what a dead thread left has ended", ofDead);
    assert(isAlive(ofOther), "another thread's program runs");
    main.killAll();
    await untilGone("all programs have ended", ofOther);
    assertEquals(isAlive(ofDead), false);
  },
});
