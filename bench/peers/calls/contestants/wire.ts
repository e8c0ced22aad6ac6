// Our typed calls over a wire session, TCP below.
import { answer, caller } from "../../../../calls/mod.ts";
import { join, mount } from "../../../../wire/mod.ts";
import type { Contestant } from "./contestant.ts";
import { handlers, race } from "./race_contract.ts";

/** The contestant. */
export const contestant: Contestant = {
  async serve() {
    const wire = mount({ insecureAnyone: true });
    answer(wire, race, handlers);
    await wire.ready;
    return JSON.stringify(wire.addr);
  },
  async dial(address) {
    const wire = join({ ...JSON.parse(address) as { port: number }, identity: "load" });
    await wire.ready;
    const remote = caller(wire, race);
    return (text) => remote.echo(text);
  },
};
