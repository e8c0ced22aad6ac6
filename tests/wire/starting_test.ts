// Tests of wire servers that are ended at the very moment at which they begin to listen: nothing stays open.
import { assert, assertEquals } from "@std/assert";
import { hub, mount } from "@parley/parley/wire";
import { testCerts } from "../support/programs/certs.ts";
import { ListenWatch } from "../support/listen_watch.ts";
import { errorOf } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

for (const [kind, make] of [["mount", mount], ["hub", hub]] as const) {
  for (const secure of [false, true]) {
    for (const way of ["close()", "its signal"]) {
      const over = secure ? "TLS" : "TCP";
      Deno.test(`${kind}() over ${over} that ${way} ends while it begins to listen leaves nothing open`, async () => {
        const { cert, key } = (await testCerts()).server;
        const controller = new AbortController();
        using watch = new ListenWatch(() => {
          if (way === "close()") void server.shutdown();
          else controller.abort(new Error("changed my mind"));
        });
        const server = make({
          insecureAnyone: true,
          logger: quiet,
          signal: controller.signal,
          ...secure && { tls: { cert, key } },
        });
        await settles("ready", errorOf(server.ready));
        await settles("finished", server.finished);
        assert(watch.opened > 0);
        assertEquals(watch.closeOpen(), 0, "listeners left open");
      });
    }
  }
}
