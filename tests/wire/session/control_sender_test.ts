// Tests of what a session announces to its peer: the newest state, bounded, and not silenced by
// what cannot be sent.
import { assertEquals } from "@std/assert";
import type { ParleyError } from "@parley/parley";
import { ControlSender } from "../../../wire/session/control_sender.ts";
import type { FrameChannel } from "../../../wire/protocol/frame_stream.ts";
import { until } from "../../support/wait.ts";

/** A sender into a list; `write` may fail. */
function sender(write: (frame: object) => Promise<void>) {
  const told: unknown[] = [];
  const over = new AbortController();
  const control = new ControlSender(
    { write } as unknown as FrameChannel,
    {
      names: [],
      signal: over.signal,
      onControlError: (error) => void told.push(error),
      abort: (reason: ParleyError) => void told.push(reason.code),
    },
    [],
  );
  return { control, told, over };
}

Deno.test("ControlSender reports what cannot be told, and tells what comes behind it", async () => {
  const frames: object[] = [];
  const broken = new RangeError("too long");
  const { control, told, over } = sender((frame) => {
    if (JSON.stringify(frame).includes("eve")) return Promise.reject(broken);
    frames.push(frame);
    return Promise.resolve();
  });
  control.announcePeer("eve", ["x"]);
  await until("it was reported", () => told.length > 0);
  control.announcePeer("bob", ["y"]);
  await until("bob is told", () => frames.length > 0);
  assertEquals([told, frames], [[broken], [{
    peers: [{ identity: "bob", streams: ["y"] }],
    gone: [],
  }]]);
  over.abort();
});

Deno.test("ControlSender keeps the last state of each peer alone, and ends a session that reads no news of 65 536", async () => {
  const frames: object[] = [];
  const go = Promise.withResolvers<void>();
  const { control, told, over } = sender(async (frame) => {
    frames.push(frame);
    await go.promise;
  });
  for (let round = 0; round < 1000; round++) control.announcePeer("bob", [`${round}`]);
  control.announcePeer("cid", null);
  await until("a frame is under way", () => frames.length === 1);
  assertEquals(frames, [{ peers: [{ identity: "bob", streams: ["999"] }], gone: ["cid"] }]);
  for (let index = 0; index < 65_536; index++) control.announcePeer(`${index}`, null);
  assertEquals(told, []);
  control.announcePeer("one more", null);
  assertEquals(told, ["ERR_SLOW_CONSUMER"]);
  go.resolve();
  over.abort();
});
