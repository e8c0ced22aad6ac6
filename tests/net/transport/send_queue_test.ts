// What the kernel holds for a peer: the lists of Linux, read, and a live connection found in them.
import { assert, assertEquals } from "@std/assert";
import { parseQueues, unacknowledgedBytes } from "../../../net/transport/send_queue.ts";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import { atRest } from "../../support/wait.ts";

const { signal } = new AbortController();
const linux = Deno.build.os === "linux";

Deno.test("parseQueues() reads both lists, and one address in all its forms as one", () => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt
   0: 0100007F:1F90 0200007F:B710 01 0003F7A0:00000000 00:00000000 00000000     0        0 1 1 0 20 0 0 10 -1
   1: 0100007F:1F90 0300007F:B711 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 20 0 0 10 -1
   2: 0000000000000000FFFF00000100007F:1F91 0000000000000000FFFF00000200007F:0050 01 00000010:00000000 00:0 0 0
   3: B80D01200000000000000000010000FF:1F92 B80D01200000000000000000020000FF:0051 01 00000020:00000000 00:0 0 0
   not a row at all`;
  assertEquals([...parseQueues(text)], [
    ["8080 127.0.0.2 46864", 260_000],
    ["8081 127.0.0.2 80", 16],
    ["8082 2001:db8:0:0:0:0:ff00:2 81", 32],
  ]);
});

Deno.test("unacknowledgedBytes() knows nothing of what is not TCP", () => {
  assertEquals(
    unacknowledgedBytes({ transport: "unix", path: "/x" }, { transport: "unix", path: "/x" }),
    null,
  );
});

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test({
    name:
      `Transport.unacknowledgedBytes() falls while the peer at ${hostname} reads, although no write ends`,
    ignore: !linux,
    async fn() {
      const listener = await listen({ hostname, port: 0 });
      const { port } = listener.addr as { port: number };
      const accepting = listener.accept().then((incoming) => incoming!.open({ signal }));
      const near = await dial({ hostname, port }, { signal });
      const far = await accepting;
      try {
        const writing = near.write(new Uint8Array(64 * 2 ** 20)).catch(() => {});
        const held = await atRest(() => near.unacknowledgedBytes!() ?? 0, 600);
        assert(held > 100_000, `${held}`);
        const { takenBytes } = near;
        assert(takenBytes! > 0);
        // The kernel lets the writer go on only after some 1.3 MB.
        for (let steps = 0, left = held; left >= held; steps++) {
          assert(
            steps < 10 && near.takenBytes === takenBytes,
            "no write ended before the queue shrank",
          );
          for (let read = 0; read < 100_000;) read += (await far.read())!.length;
          left = await atRest(() => near.unacknowledgedBytes!() ?? 0, 300);
        }
        near.close();
        await writing;
      } finally {
        near.close();
        far.close();
        listener.close();
      }
    },
  });
}
