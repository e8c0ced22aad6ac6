// Tests of probe: looks at links that do not read, and leaves nothing behind on those that stay.
import { assertEquals } from "@std/assert";
import { probe } from "../../../ipc/link/pings.ts";

Deno.test("probe sends some signs of life to a link that rests, and adds no wait for its end", async () => {
  let signs = 0;
  let waits = 0;
  const link = {
    resting: true,
    pings: { sendUnsolicitedPong: () => void signs++ },
    get closed(): Promise<void> {
      waits++;
      return new Promise(() => {});
    },
  };
  await probe(link);
  assertEquals([signs, waits], [3, 0]);
});

Deno.test("probe sends no more once the link has ended or is being written to", async () => {
  let signs = 0;
  const link = { resting: true, pings: { sendUnsolicitedPong: () => void signs++ } };
  const probed = probe(link);
  link.resting = false;
  await probed;
  await probe(link);
  assertEquals(signs, 1);
});
