// The watch of a link under a clock of its own: keepalive, slow readers, slow messages, and our own sleep.
import { assertEquals } from "@std/assert";
import { type LinkLook, LinkWatch } from "../../../ipc/link/watch.ts";

const TIMES = {
  keepaliveMs: 15_000,
  keepaliveTimeoutMs: 10_000,
  writeTimeoutMs: 10_000,
  messageTimeoutMs: 30_000,
};
const QUIET: LinkLook = {
  paused: false,
  writing: false,
  writtenBytes: 0,
  queuedBytes: 0,
  inFrame: false,
  framesIn: 0,
};

/** A watch, what it did, and a clock that looks every second. */
class Watched {
  readonly done: string[] = [];
  nowMs = 1_000_000;
  readonly watch: LinkWatch;

  constructor(times: Partial<typeof TIMES> = {}) {
    this.watch = new LinkWatch({ ...TIMES, ...times }, {
      pings: {
        ask: () => this.done.push("ping"),
        sendUnsolicitedPong: () => this.done.push("still here"),
      },
      abort: (error) => this.done.push((error as { code?: string }).code ?? "?"),
    });
    this.watch.tick(this.nowMs, QUIET);
  }

  /** Lets seconds go by. */
  seconds(count: number, look: Partial<LinkLook> = {}): string[] {
    for (let i = 0; i < count; i++) this.watch.tick(this.nowMs += 1000, { ...QUIET, ...look });
    return this.done.splice(0);
  }
}

Deno.test("LinkWatch asks after silence, and gives up when there is no answer", () => {
  const watched = new Watched();
  assertEquals(watched.seconds(14), []);
  assertEquals(watched.seconds(1), ["ping"]);
  assertEquals(watched.seconds(9), []);
  assertEquals(watched.seconds(1), ["ERR_KEEPALIVE_TIMEOUT"]);
});

Deno.test("LinkWatch takes anything that comes as a sign of life", () => {
  const watched = new Watched();
  for (let round = 0; round < 5; round++) {
    assertEquals(watched.seconds(14), []);
    watched.watch.sawInput();
    assertEquals(watched.seconds(1), []);
  }
  assertEquals(watched.seconds(15), ["ping"]);
  watched.watch.sawInput();
  assertEquals(watched.seconds(15), []);
});

Deno.test("LinkWatch says that we live while our application does not read, and blames nobody else", () => {
  const watched = new Watched();
  const said = watched.seconds(60, { paused: true });
  assertEquals([said.length >= 4, new Set(said)], [true, new Set(["still here"])]);
  assertEquals(watched.seconds(14), []);
});

Deno.test("LinkWatch ends a link whose other side takes nothing, not one that is slow", () => {
  const watched = new Watched();
  for (let bytes = 0; bytes < 20; bytes++) {
    assertEquals(watched.seconds(9, { writing: true, writtenBytes: bytes, queuedBytes: 99 }), []);
    watched.watch.sawInput();
  }
  assertEquals(watched.seconds(11, { writing: true, writtenBytes: 20, queuedBytes: 99 }), [
    "ERR_SLOW_CONSUMER",
  ]);
});

Deno.test("LinkWatch takes a write that goes on as a sign of life, however long nothing comes", () => {
  const watched = new Watched();
  for (let bytes = 0; bytes < 60; bytes++) {
    assertEquals(
      watched.seconds(1, { writing: true, writtenBytes: bytes, queuedBytes: 1 << 20 }),
      [],
    );
  }
  assertEquals(watched.seconds(15), ["ping"]);
  assertEquals(watched.seconds(10), ["ERR_KEEPALIVE_TIMEOUT"]);
});

Deno.test("LinkWatch blames no side that rests for a sign of life that does not fit in", () => {
  const watched = new Watched();
  const look = { paused: true, writing: true, writtenBytes: 7 };
  assertEquals(watched.seconds(60, { ...look, queuedBytes: 9 }), []);
  assertEquals(watched.seconds(11, { ...look, queuedBytes: 10 }), ["ERR_SLOW_CONSUMER"]);
});

Deno.test("LinkWatch ends a link on which a message does not end, but not while we do not read", () => {
  const watched = new Watched({ keepaliveMs: 0 });
  assertEquals(watched.seconds(29, { inFrame: true }), []);
  assertEquals(watched.seconds(1, { inFrame: false }), []);
  const unread = watched.seconds(40, { inFrame: true, paused: true });
  assertEquals(new Set(unread), new Set(["still here"]));
  for (let frames = 1; frames < 4; frames++) {
    assertEquals(watched.seconds(29, { inFrame: true, framesIn: frames }), []);
  }
  assertEquals(watched.seconds(31, { inFrame: true, framesIn: 9 }).slice(0, 1), [
    "ERR_READ_TIMEOUT",
  ]);
});

Deno.test("LinkWatch does not blame the other side for our own sleep", () => {
  const watched = new Watched();
  watched.nowMs += 3_600_000; // the lid was shut
  assertEquals(watched.seconds(1), []);
  assertEquals(watched.seconds(13), []);
  watched.nowMs += 3_600_000;
  assertEquals(watched.seconds(1, { writing: true, inFrame: true }), []);
});

Deno.test("LinkWatch leaves alone what is switched off", () => {
  const watched = new Watched({ keepaliveMs: 0, messageTimeoutMs: 0 });
  assertEquals(watched.seconds(100, { inFrame: true }), []);
});
