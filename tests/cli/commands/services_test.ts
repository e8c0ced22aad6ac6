// Tests of several services over one link to a hub: how they are typed, and that all are reached.
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UsageError } from "../../../cli/command/usage.ts";
import { severalServices } from "../../../cli/commands/services.ts";
import { hub } from "../../../wire/mod.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import { Program } from "../../support/programs/program.ts";
import { settles } from "../../support/wait.ts";

Deno.test("severalServices reads NAME=ADDRESS, and leaves a pair of operands to its caller", () => {
  assertEquals(severalServices([]), null);
  assertEquals(severalServices(["web", "8080"]), null);
  assertEquals(severalServices(["web", "unix:/a=b"]), null);
  assertEquals(severalServices(["a=b", "8080"]), null);
  assertEquals(severalServices(["web=8080"]), [{ name: "web", address: "8080" }]);
  assertEquals(severalServices(["web=[::1]:80", "db=unix:/a=b"]), [
    { name: "web", address: "[::1]:80" },
    { name: "db", address: "unix:/a=b" },
  ]);
  for (const wrong of [["=80"], ["web="], ["web=1", "api="], ["web=1", "web=2"]]) {
    assertThrows(() => severalServices(wrong), UsageError);
  }
});

/** A service that says its name. */
function saying(name: string): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(name),
  );
}

Deno.test({
  name: "parley expose and forward carry several services over one link, and drain all of them",
  ignore: Deno.build.os === "windows", // no SIGINT for other processes there
  async fn() {
    await using web = saying("web");
    await using api = saying("api");
    await using server = hub({ insecureAnyone: true, onError: () => {} });
    await server.ready;
    const { addr } = server;
    const at = String(addr.transport === "tcp" ? addr.port : 0);
    const as = (identity: string) => ["--identity", identity, "--json"];
    const exposed = [`web=${web.addr.port}`, `api=${api.addr.port}`];
    await using office = new Program(PARLEY_MAIN, ["expose", at, ...exposed, ...as("office")]);
    const forwarded = ["office/web=0", "office/api=0"];
    await using home = new Program(PARLEY_MAIN, ["forward", at, ...forwarded, ...as("home")]);
    using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    for (const name of ["web", "api"]) {
      const [, port] = await home.said(
        new RegExp(`^listening on 127.0.0.1:(\\d+) for office/${name}$`, "m"),
      );
      const answer = await fetch(`http://127.0.0.1:${port}/`, {
        client,
        headers: { connection: "close" },
      });
      assertEquals(await answer.text(), name);
    }
    const told = home.stdout.trim().split("\n").map((line) => JSON.parse(line));
    const places = told.filter(({ event }) => event === "listening").map(({ leadsTo }) => leadsTo);
    assertEquals(places, ["office/web", "office/api"]);
    assertEquals(server.sessions.length, 2);
    for (const program of [home, office]) {
      program.kill("SIGINT");
      const { code, stderr } = await settles("its end", program.finish());
      assertEquals(code, 0, stderr);
      assertMatch(stderr, /Connected to the hub/);
    }
  },
});
