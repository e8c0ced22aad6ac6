// Echo plans: one turn of an echo server under the load of `bench/peers/base/load.ts`.
import type { Plan } from "../../peers/base/load.ts";
import type { Turn } from "../contest.ts";
import type { Place, Program } from "../place.ts";
import { type Backend, type Echo, echoServer } from "./backends.ts";

/** Messages of a load, and how many at once. */
export type EchoPlan =
  & Pick<Plan, "connections" | "inFlight" | "messageBytes">
  & Partial<Pick<Plan, "framing" | "serverMicros">>;

/** Returns a turn: a server that serves all turns of its contest, under load. */
export function echoTurn(
  place: Place,
  echo: Echo,
  backend: Backend,
  plan: EchoPlan,
): () => Promise<Turn> {
  return () =>
    place.withWarmServer(
      echo,
      () => echoServer(place, echo, backend, plan.framing),
      (address, pid) => loadEcho(place, backend, plan, address, pid),
    );
}

/** Puts a server that runs already under load. */
export async function loadEcho(
  place: Place,
  backend: string,
  plan: EchoPlan,
  address: string,
  serverPid: number,
  cores: Program["cores"] = "1",
): Promise<Turn> {
  const whole: Plan = {
    framing: "lengths",
    ...plan,
    seconds: place.settings.seconds,
    serverPid,
  };
  return await place.load({
    file: "base/load.ts",
    args: [backend, address, place.folder, JSON.stringify(whole)],
    cores,
  });
}
