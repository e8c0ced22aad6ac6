// The door of a wire: honest clients of an office join while bare connections come from the same address.
import { assert, assertEquals } from "@std/assert";
import { join, mount } from "@parley/parley/wire";
import { onStage, type Stage } from "./scenes/model_stage.ts";
import type { Random } from "../random.ts";

const OFFICE = "192.0.2.7";
/** A client that is let in is let in by then. */
const JOIN_MS = 1500;

/** Lives one life at a door. */
export async function simulateDoor(random: Random): Promise<void> {
  const refused: string[] = [];
  await onStage(random, { latencyMs: random.int(0, 20) }, async (stage) => {
    const { clock } = stage;
    const server = mount({
      authorize: ({ identity, token }) => identity === token,
      onError: () => {},
      signal: stage.user.signal,
    });
    server.handle("echo", async (stream) => {
      for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) {
        await stream.write(chunk);
      }
    });
    await server.ready;
    assert(server.addr.transport === "tcp");
    const { port } = server.addr;
    await Promise.all([
      ...Array.from({ length: random.int(1, 40) }, async () => {
        await clock.sleep(random.int(0, 6000));
        await pass(stage, port, random);
      }),
      ...Array.from({ length: random.int(2, 8) }, async (_, index) => {
        await clock.sleep(random.int(0, 8000));
        await visit(stage, port, `client-${index}`, refused);
      }),
    ]);
    await server.shutdown();
    await server.finished;
    assertEquals(refused, [], "honest clients were refused");
  }, () => "a client still waits");
}

/** A probe, a phone without a network, a client that was cut off in the midst of its hello. */
async function pass({ clock }: Stage, port: number, random: Random): Promise<void> {
  const socket = await Deno.connect({ hostname: OFFICE, port });
  if (random.chance(0.2)) await clock.sleep(random.int(0, 1000));
  socket.close();
}

async function visit(
  { clock, user }: Stage,
  port: number,
  identity: string,
  refused: string[],
): Promise<void> {
  const wire = join({
    hostname: OFFICE,
    port,
    identity,
    token: identity,
    reconnect: false,
    onError: () => {},
    signal: user.signal,
  });
  const late = clock.after(JOIN_MS, () => wire.abort());
  try {
    await wire.ready;
    const stream = await wire.open("echo");
    await stream.write(new Uint8Array([1, 2, 3]));
    await stream.closeWrite();
    assertEquals(await stream.read(), new Uint8Array([1, 2, 3]));
    assertEquals(await stream.read(), null);
  } catch (error) {
    refused.push(`${identity} at ${clock.now()} ms: ${error}`);
  }
  late();
  await wire.close().catch(() => {});
}
