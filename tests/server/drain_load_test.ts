// Draining under load, in two processes: what was answered was handled, what was handled was
// answered, nothing twice.
import { connect, type Connection } from "@parley/parley";
import { assert, assertEquals } from "@std/assert";
import { text } from "../support/bytes.ts";
import { testCerts } from "../support/programs/certs.ts";
import { Program } from "../support/programs/program.ts";
import { codeOf, lines } from "../support/peers/servers.ts";

const CLIENTS = 200;
/** Messages of one client on their way at any time. */
const IN_FLIGHT = 8;
/** Answers before the server has to drain. */
const ANSWERS_BEFORE = 20 * CLIENTS;

/** A client that sends without pause until the server ends the connection. */
class Presser {
  readonly #conn: Connection;
  readonly #name: number;
  #next = 0;

  constructor(conn: Connection, name: number) {
    this.#conn = conn;
    this.#name = name;
  }

  /** Sends one more for each answer; returns how it ended. */
  async run(onAnswer: (message: string) => void): Promise<string> {
    this.ask(IN_FLIGHT);
    try {
      for await (const answer of this.#conn) {
        onAnswer(text(answer).slice("done ".length));
        this.ask(1);
      }
      await this.#conn.close();
      return "in order";
    } catch (error) {
      return codeOf(error);
    }
  }

  /** Sends some messages, which may be on their way when the end comes. */
  ask(count: number): void {
    for (let i = 0; i < count; i++) {
      void this.#conn.send(`${this.#name}.${this.#next++}`).catch(() => {});
    }
  }

  /** Sends more than the server can do at once, to the kernel. */
  async burst(): Promise<void> {
    this.ask(5 * IN_FLIGHT);
    await this.#conn.flush();
  }
}

for (
  const [name, backend] of [["TCP", undefined], ["TLS", "auto"], [
    "TLS, backend deno",
    "deno",
  ]] as const
) {
  Deno.test({
    name:
      `Server over ${name} drains under ${CLIENTS} clients that send without pause: every answer is true, nothing is lost, ` +
      `nothing is done twice${Deno.build.os === "windows" ? " (ignored: needs SIGTERM)" : ""}`,
    ignore: Deno.build.os === "windows",
    async fn() {
      const { ca, server: identity } = await testCerts();
      const setup = backend === undefined ? {} : { tls: { ...identity, backend } };
      await using server = new Program("tests/server/drain_program.ts", [JSON.stringify(setup)]);
      const port = await server.port();
      const tls = backend === undefined ? undefined : { caCerts: [ca.cert], backend };
      const conns = await Promise.all(
        Array.from(
          { length: CLIENTS },
          () => connect({ ...lines, hostname: "localhost", port, tls }),
        ),
      );
      const answered: string[] = [];
      const busy = Promise.withResolvers<void>();
      const clients = conns.map((conn, client) => new Presser(conn, client));
      const pressing = clients.map((client) =>
        client.run((message) => {
          if (answered.push(message) === ANSWERS_BEFORE) busy.resolve();
        })
      );
      await busy.promise;
      await Promise.all(clients.map((client) => client.burst()));
      const owedFrom = answered.length;
      const began = performance.now();
      server.kill("SIGTERM");
      const ends = await Promise.all(pressing);
      const { code, stdout, stderr } = await server.finish();
      const tookMs = performance.now() - began;
      assertEquals([code, stderr], [0, ""]);
      const { handled, late, errors, state } = JSON.parse(
        /^told (.+)$/m.exec(stdout)?.[1] ?? "{}",
      ) as {
        handled: string[];
        late: number;
        errors: string[];
        state: string;
      };
      if (Deno.env.has("PARLEY_TELL")) {
        console.log(
          `${name}: ${handled.length} handled, ${late} of them while draining, all answered, in ${
            tookMs.toFixed(0)
          } ms`,
        );
      }
      assertEquals([state, errors], ["stopped", []]);
      assertEquals(new Set(ends), new Set(["in order"]));
      assertEquals(new Set(handled).size, handled.length, "something was handled twice");
      assertEquals(new Set(answered).size, answered.length, "something was answered twice");
      const [owed, lied] = [
        new Set(handled).difference(new Set(answered)),
        new Set(answered).difference(new Set(handled)),
      ];
      assertEquals(
        [[...owed], [...lied]],
        [[], []],
        "handled and not answered, answered and not handled",
      );
      assert(answered.length > owedFrom, "nothing was owed when it drained");
    },
  });
}
