// Tests of channels that are given up at the very moment at which they begin to listen: nothing stays open.
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { type IpcServerOptions, listenIpc, SecretKey } from "../../ipc/mod.ts";
import { testCerts } from "../support/programs/certs.ts";
import { ListenWatch } from "../support/listen_watch.ts";
import { errorOf } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";
import { Channel } from "./channels.ts";

const KINDS:
  readonly (readonly [name: string, options: () => Promise<Partial<IpcServerOptions>>])[] = [
    ["a unix socket", () => Promise.resolve({})],
    [
      "TCP",
      () =>
        Promise.resolve({
          transport: "tcp",
          port: 0,
          path: undefined,
          secret: SecretKey.generate(),
        }),
    ],
    ["TLS", async () => {
      const { cert, key } = (await testCerts()).server;
      return { tls: { cert, key } };
    }],
  ];

for (const [kind, options] of KINDS) {
  Deno.test(`listenIpc over ${kind} that is given up while it begins to listen leaves nothing open`, async () => {
    await using channel = new Channel();
    const given = { ...channel.options, ...await options() };
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    {
      using watch = new ListenWatch(() => controller.abort(reason));
      const { signal } = controller;
      const error = await settles("listenIpc", errorOf(listenIpc({ ...given, signal })));
      assertStrictEquals(error, reason);
      assert(watch.opened > 0);
      assertEquals(watch.closeOpen(), 0, "listeners left open");
    }
    // The channel is free: the next one has it at once.
    await using server = await listenIpc(given);
    assertEquals(server.status, "listening");
  });
}
