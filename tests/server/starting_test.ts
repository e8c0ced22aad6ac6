// Tests of servers that are ended at the very moment at which they begin to listen: nothing stays open.
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { serve, type ServeOptions, type Server } from "@parley/parley";
import { testCerts } from "../support/certs.ts";
import { ListenWatch } from "../support/listen_watch.ts";
import { echo, errorOf } from "../support/servers.ts";
import { TempDir } from "../support/temp_dir.ts";
import { settles } from "../support/wait.ts";

/** Ways to end a server. */
const ENDS: readonly (readonly [name: string, end: (server: Server, controller: AbortController) => void])[] =
  [
    ["close()", (server) => server.close()],
    ["shutdown()", (server) => void server.shutdown()],
    ["its signal", (_server, controller) => controller.abort(new Error("changed my mind"))],
  ];

/** Where to listen. */
const KINDS: readonly (readonly [name: string, options: (path: string) => Promise<ServeOptions>])[] = [
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
