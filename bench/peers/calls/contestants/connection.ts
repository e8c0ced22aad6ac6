// Our typed calls over a plain connection, TCP below.
import { answer, caller } from "../../../../calls/mod.ts";
import { connect, serve } from "../../../../mod.ts";
import type { Contestant } from "./contestant.ts";
import { handlers, race } from "./race_contract.ts";

/** The contestant. */
export const contestant: Contestant = {
  async serve() {
    const server = serve({ hostname: "127.0.0.1", port: 0 }, async (conn) => {
      answer(conn, race, handlers);
      await conn.closed;
    });
    await server.ready;
    return JSON.stringify(server.addr);
  },
  async dial(address) {
    const conn = await connect(JSON.parse(address) as { hostname: string; port: number });
    const remote = caller(conn, race);
    return (text) => remote.echo(text);
  },
};
