// One of the processes of netns_test.ts: a hub, a client that receives, one that sends, or one that
// tries to connect.
import { hub, join } from "@parley/parley/wire";
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { stdin } from "node:process";
import { connect, raw } from "@parley/parley";

const [mode, hostname = "", port = "0"] = Deno.args;
const reconnect = { minDelayMs: 20, maxDelayMs: 200 };
const BYTES = 64 * 1024 * 1024;

switch (mode) {
  case "hub": {
    const wire = hub({
      hostname,
      port: Number(port),
      authorize: ({ identity, token }) => token === `${identity}!`,
    });
    await wire.ready;
    console.log("Listening on", wire.addr);
    break;
  }
  case "receive": {
    const wire = join({
      hostname,
      port: Number(port),
      identity: "bob",
      token: "bob!",
      reconnect,
      onOpen: () => console.log("Joined"),
    });
    wire.handle("file", async (stream) => {
      const hash = createHash("sha256");
      for await (const chunk of stream) hash.update(chunk);
      await stream.write(hash.digest("hex"));
    });
    break;
  }
  case "send": {
    const wire = join({ hostname, port: Number(port), identity: "ann", token: "ann!", reconnect });
    // A line of input is a file to be sent; it waits for the hub and for bob.
    for await (const line of createInterface({ input: stdin })) console.log(line, await send(wire));
    break;
  }
  case "reach": {
    const reached = await connect({ hostname, port: Number(port), framing: raw(), timeoutMs: 1000 })
      .then(
        () => true,
        () => false,
      );
    console.log("reached:", reached);
  }
}

async function send(wire: ReturnType<typeof join>): Promise<string> {
  for (let tries = 0;; tries++) {
    try {
      const stream = await wire.peer("bob").open("file");
      const hash = createHash("sha256");
      const chunk = new Uint8Array(64 * 1024);
      for (let sent = 0; sent < BYTES; sent += chunk.length) {
        new DataView(chunk.buffer).setUint32(0, sent);
        hash.update(chunk);
        await stream.write(chunk);
      }
      await stream.closeWrite();
      const theirs = await new Response(stream.readable).text();
      return theirs === hash.digest("hex") ? "equal" : "different";
    } catch (error) {
      // Bob may not be back yet.
      if (tries > 100) return `failed: ${error}`;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
