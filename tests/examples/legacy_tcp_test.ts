// The example of an old protocol, with a plain TCP client.
import { assertEquals } from "@std/assert";
import { Program } from "../support/programs/program.ts";
import { utf8 } from "../support/bytes.ts";
import { readToEnd, tcpExchange, writeAll } from "../support/peers/raw_peer.ts";

Deno.test("legacy_tcp_server speaks CR LF lines with a raw peer, however they are cut", async () => {
  await using server = new Program("examples/legacy_tcp_server.ts", ["0"]);
  const port = await server.port();
  const asked =
    "SET city Lisbon on the Tejo\r\nget city\r\nGET nothing\r\nHELP\r\nQUIT\r\nGET city\r\n";
  const answers = ["+READY", "+OK", "+Lisbon on the Tejo", "-ERR no such key"];
  const wanted = [...answers, "-ERR commands are SET, GET, QUIT", "+BYE", ""].join("\r\n");
  assertEquals(await tcpExchange(port, utf8(asked), 1), wanted);
  assertEquals(await tcpExchange(port, utf8(asked), asked.length), wanted);
});

Deno.test({
  name:
    "legacy_tcp_server answers what was asked before SIGTERM, says that it goes down, and ends with 0",
  ignore: Deno.build.os === "windows", // no SIGTERM there
  async fn() {
    await using server = new Program("examples/legacy_tcp_server.ts", ["0"]);
    const port = await server.port();
    using idle = await Deno.connect({ port });
    using busy = await Deno.connect({ port });
    await writeAll(busy, utf8("SET a 1\r\n"));
    const heard = new Uint8Array(64);
    for (let length = 0; length < "+READY\r\n+OK\r\n".length;) {
      length += (await busy.read(heard.subarray(length)))!;
    }
    await idle.read(heard);
    server.kill("SIGTERM");
    for (const socket of [busy, idle]) {
      assertEquals(await readToEnd(socket), "-ERR going down\r\n");
      socket.close();
    }
    const { code, stdout } = await server.finish();
    assertEquals({ code, last: stdout.trimEnd().split("\n").at(-1) }, { code: 0, last: "Stopped" });
  },
});
