// Passers-by: bare connections as balancers, kubelets and phones make them, programs that come for
// a moment, and programs that give up.
import { assertEquals } from "@std/assert";
import { connect } from "../../../../client.ts";
import type { ServeWorld } from "../model_serve.ts";
import type { Random } from "../../random.ts";

/** How many come, and from where. */
export interface Probes {
  readonly host: string;
  readonly count: number;
  /** They come within so many ms. */
  readonly mostMs: number;
}

/** Comes and goes. */
export async function probe(
  { stage, port }: ServeWorld,
  random: Random,
  probes: Probes,
): Promise<void> {
  const { clock, hosts } = stage;
  await Promise.all(Array.from({ length: probes.count }, async () => {
    await clock.sleep(random.int(0, probes.mostMs));
    const socket = await Deno.connect({ hostname: probes.host, port });
    const stays = random.chance(0.3);
    if (stays) await clock.sleep(random.int(0, 3000));
    if (random.chance(0.5)) return socket.close();
    for (const link of hosts.links) if (link.near === socket) link.cut();
    socket.close();
  }));
}

/** How often programs come for a moment. */
export interface Comers {
  readonly host: string;
  readonly everyMs: number;
  readonly mostMs: number;
}

/** Programs with short times of their own come, and go at once. */
export async function comeAndGo(
  { stage, port }: ServeWorld,
  random: Random,
  comers: Comers,
): Promise<void> {
  const { clock } = stage;
  for (let atMs = 0; atMs < comers.mostMs; atMs += comers.everyMs) {
    await clock.sleep(comers.everyMs);
    const conn = await connect({
      hostname: comers.host,
      port,
      idleTimeoutMs: random.int(100, 2000),
    });
    await conn.close();
  }
}

/** Programs that dial, and give up. */
export async function giveUp(
  { stage, port }: ServeWorld,
  random: Random,
  probes: Probes,
): Promise<void> {
  const { clock } = stage;
  for (let count = 0; count < probes.count; count++) {
    const controller = new AbortController();
    const reason = new Error("It took too long");
    clock.after(random.int(0, probes.mostMs), () => controller.abort(reason));
    try {
      const conn = await connect({ hostname: probes.host, port, signal: controller.signal });
      await conn.close();
    } catch (error) {
      assertEquals(error, reason);
    }
    await clock.sleep(random.int(0, 5));
  }
}
