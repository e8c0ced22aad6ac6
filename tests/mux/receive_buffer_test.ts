// ReceiveBuffer: what it keeps, and what it lets go.
import { assert, assertEquals } from "@std/assert";
import { ReceiveBuffer } from "../../mux/receive_buffer.ts";

Deno.test("ReceiveBuffer lets go of what was taken, also while it never runs empty", async () => {
  const size = 262_144;
  const buffer = new ReceiveBuffer();
  const given: WeakRef<ArrayBufferLike>[] = [];
  const push = () => {
    const chunk = new Uint8Array(size);
    given.push(new WeakRef(chunk.buffer));
    buffer.push(chunk);
  };
  push();
  for (let round = 0; round < 10; round++) {
    for (let count = 0; count < 100; count++) {
      push();
      assertEquals(buffer.shift()?.length, size);
    }
    assertEquals(buffer.bytes, size);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  // The platform collects in its own time, and long before 256 MiB are there.
  const collected = given.filter((ref) => ref.deref() === undefined).length;
  assert(collected >= 500, `${collected} of ${given.length} chunks were let go`);
});
