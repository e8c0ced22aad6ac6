// Limits of calls over a wire, as both sides see them.
import { assertEquals, assertRejects } from "@std/assert";
import { FramingError } from "@parley/parley";
import { answer, call, caller, contract } from "@parley/parley/calls";
import { join, mount } from "@parley/parley/wire";

Deno.test("an input or an output of more than 1 MiB is ERR_FRAME_TOO_LARGE, and costs no session", async () => {
  const texts = contract({ repeat: call<number, string>(), length: call<string, number>() });
  await using server = mount({ insecureAnyone: true });
  answer(server, texts, {
    repeat: (count) => "x".repeat(count),
    length: (text) => text.length,
  });
  await server.ready;
  await using client = join({ ...server.addr, identity: "alice" });
  const remote = caller(client, texts);
  const most = 2 ** 20 - 3; // quotes, and the byte of a reply
  assertEquals((await remote.repeat(most)).length, most);
  const session = client.session;
  const tooLarge: (() => Promise<unknown>)[] = [
    () => remote.repeat(most + 1),
    () => remote.length("x".repeat(2 ** 20)),
  ];
  for (const ask of tooLarge) {
    assertEquals((await assertRejects(ask, FramingError)).code, "ERR_FRAME_TOO_LARGE");
  }
  assertEquals(await remote.length("x"), 1);
  assertEquals(client.session, session);
});
