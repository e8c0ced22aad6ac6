// Memory of two processes while readers of one do not read: neither grows by more than the windows.
import { assert } from "@std/assert";
import { INITIAL_WINDOW_BYTES } from "@parley/parley/mux";
import {
  hasProcessStats,
  processStats,
  residentBytesOf,
} from "../support/programs/process_stats.ts";
import { Program } from "../support/programs/program.ts";
import { until } from "../support/wait.ts";

const MIB = 1 << 20;
const STALLED = 8;

/** What a process may grow by: 8 windows of 256 KiB, the rest for garbage that was not collected yet. */
const GROWTH_BYTES = 48 * MIB;

Deno.test({
  name:
    `MuxSession with 8 readers that stop: neither process grows by 48 MiB while 256 MiB flow beside them${processStats}`,
  ignore: !hasProcessStats,
  async fn() {
    const flags = ["--v8-flags=--expose-gc"];
    await using receiver = new Program("tests/mux/stalled_program.ts", ["receive"], { flags });
    const port = await receiver.port();
    await using sender = new Program("tests/mux/stalled_program.ts", ["send", `${port}`], {
      keepStdin: true,
    });
    await sender.printed(/warm/);
    const before = [receiver.pid, sender.pid].map(residentBytesOf);
    const most = [...before];
    await sender.type("go\n");
    const done = /taken: (\d+) /;
    await until("all has flowed", () => {
      [receiver.pid, sender.pid].forEach((pid, index) =>
        most[index] = Math.max(most[index]!, residentBytesOf(pid))
      );
      return done.test(sender.stdout);
    }, 60_000);
    const taken = Number(done.exec(sender.stdout)?.[1]);
    // A window of each is under way, and one write waits behind it.
    assert(
      taken <= STALLED * (INITIAL_WINDOW_BYTES + 65_536),
      `${taken} bytes were taken from the senders`,
    );
    assert(taken >= STALLED * (INITIAL_WINDOW_BYTES - 65_536), `only ${taken} bytes were taken`);
    const grew = most.map((bytes, index) => bytes - before[index]!);
    if (Deno.env.has("PARLEY_TELL")) {
      console.log(`receiver and sender grew by ${grew} bytes, from ${before}`);
    }
    for (const bytes of grew) {
      assert(bytes < GROWTH_BYTES, `receiver and sender grew by ${grew} bytes`);
    }
  },
});
