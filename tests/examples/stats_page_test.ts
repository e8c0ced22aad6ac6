// The statistics page example, as a process.
import { connect, delimited } from "@parley/parley";
import { assert, assertEquals } from "@std/assert";
import { Program } from "../support/programs/program.ts";

Deno.test({
  name: "stats_page shows what clients did, and ends with its server",
  ignore: Deno.build.os === "windows", // signals that end programs are a matter of POSIX
  async fn() {
    await using program = new Program("examples/stats_page.ts", ["0", "0"]);
    const port = await program.port();
    const [, url] = await program.printed(/Statistics on (\S+)\s/);
    await using conn = await connect({ port, framing: delimited("\n") });
    for (let i = 0; i < 3; i++) {
      await conn.send("hello");
      await conn.receive();
    }
    const get = async (path: string) => {
      const response = await fetch(`${url}${path}`);
      return { status: response.status, text: await response.text() };
    };
    assert((await get("")).text.startsWith("<!doctype html>"));
    const counted = 'parley_received_messages_total{kind="server",name="echo"} 3\n';
    assert((await get("metrics")).text.includes(counted));
    assertEquals((await get("readyz")).status, 200);

    program.kill("SIGTERM");
    assertEquals(await conn.receive(), null);
    await conn.close();
    assertEquals((await program.finish()).code, 0);
  },
});
