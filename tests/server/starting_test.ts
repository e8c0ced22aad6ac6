// Tests of servers that are ended at the very moment at which they begin to listen: nothing stays open.
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { listenTransport, serve, type ServeOptions, type Server } from "@parley/parley";
import { mount } from "@parley/parley/wire";
import { testCerts } from "../support/programs/certs.ts";
import { ListenWatch } from "../support/listen_watch.ts";
import { echo, errorOf } from "../support/peers/servers.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles } from "../support/wait.ts";

/** Ways to end a server. */
const ENDS:
  readonly (readonly [name: string, end: (server: Server, controller: AbortController) => void])[] =
    [
      ["close()", (server) => server.abort()],
      ["shutdown()", (server) => void server.shutdown()],
      ["its signal", (_server, controller) => controller.abort(new Error("changed my mind"))],
    ];

/** Where to listen. */
const KINDS:
  readonly (readonly [name: string, options: (path: string) => Promise<ServeOptions>])[] = [
    ["TCP", () => Promise.resolve({})],
    ["a unix socket", (path) => Promise.resolve({ path })],
    ["TLS", async () => {
      const { cert, key } = (await testCerts()).server;
      return { tls: { cert, key } };
    }],
  ];

for (const [kind, options] of KINDS) {
  for (const [name, end] of ENDS) {
    Deno.test({
      name: `Server over ${kind} that ${name} ends while it begins to listen leaves nothing open`,
      ignore: kind === "a unix socket" && Deno.build.os !== "linux",
      async fn() {
        await using directory = new TempDir();
        const controller = new AbortController();
        using watch = new ListenWatch(() => end(server, controller));
        const where = await options(`${directory.path}/s.sock`);
        const server: Server = serve({ ...where, signal: controller.signal }, echo);
        const error = await settles("ready", errorOf(server.ready));
        if (name === "its signal") assertStrictEquals(error, controller.signal.reason);
        await settles("finished", server.finished);
        assertEquals(server.state, "stopped");
        assert(watch.opened > 0);
        assertEquals(watch.closeOpen(), 0, "listeners left open");
        assertEquals([...Deno.readDirSync(directory.path)], []);
      },
    });
  }
}

/** Turns of the microtask queue after which a server listens at the latest. */
const HOPS = 16;

/** What begins to listen, and a way to end it. */
interface Beginner {
  readonly state: string;
  readonly finished: Promise<void>;
  end(): unknown;
}

const anyone = {
  insecureAnyone: true,
  logger: { debug() {}, info() {}, warn() {}, error() {} },
} as const;

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

const beginners: readonly (readonly [name: string, make: () => Beginner])[] = [
  ["Server.abort()", () => withEnd(serve({ logger: quiet }, echo), (server) => server.abort())],
  [
    "Server.shutdown()",
    () => withEnd(serve({ logger: quiet }, echo), (server) => server.shutdown()),
  ],
  [
    "TransportListener.shutdown()",
    () => withEnd(listenTransport(), (listener) => listener.shutdown()),
  ],
  ["TransportListener.abort()", () => withEnd(listenTransport(), (listener) => listener.abort())],
  ["MountedWire.shutdown", () => withEnd(mount(anyone), (wire) => wire.shutdown())],
  ["MountedWire.abort()", () => withEnd(mount(anyone), (wire) => wire.abort())],
];

function withEnd<One extends Omit<Beginner, "end">>(
  one: One,
  end: (one: One) => unknown,
): Beginner {
  return {
    get state() {
      return one.state;
    },
    get finished() {
      return one.finished;
    },
    end: () => end(one),
  };
}

for (const [name, make] of beginners) {
  Deno.test(`${name} in any turn of the beginning ends it, and nothing listens`, async () => {
    for (let hops = 0; hops < HOPS; hops++) {
      using watch = new ListenWatch(() => {});
      const beginner = make();
      for (let hop = 0; hop < hops; hop++) await null;
      await beginner.end();
      await settles(`finished after ${hops} turns`, beginner.finished.catch(() => {}));
      assertEquals([beginner.state, watch.closeOpen()], ["stopped", 0], `after ${hops} turns`);
    }
  });
}
