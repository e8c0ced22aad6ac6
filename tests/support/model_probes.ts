// Bare connections as balancers, kubelets and phones that lost their network make them: they say nothing, and go.
import type { ServeWorld } from "./model_serve.ts";
import type { Random } from "./random.ts";

/** How many come, and from where. */
export interface Probes {
  readonly host: string;
  readonly count: number;
  /** They come within so many ms. */
  readonly mostMs: number;
}

/** Comes and goes. */
export async function probe({ stage, port }: ServeWorld, random: Random, probes: Probes): Promise<void> {
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
