// Attacks on the statistics page: the message server beside it goes on as if nothing were, and
// descriptors come back.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect, type Connection } from "@parley/parley";
import { descriptorsOf, hasProcessStats, processStats } from "../support/programs/process_stats.ts";
import { Program } from "../support/programs/program.ts";
import { ask, lines } from "../support/peers/servers.ts";
import { until } from "../support/wait.ts";

const CROWD = 1000;

/** Round trips in one round, and rounds: the best one counts, as other work may run on the machine. */
const TRIPS = 100;
const ROUNDS = 5;

/** A connection of an attacker: what it sends, and what it receives. */
class Attacker {
  heard = "";
  readonly ended: Promise<void>;
  readonly #conn: Deno.TcpConn;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    this.ended = this.#listen();
  }

  static async to(port: number, text: string): Promise<Attacker> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode(text)).catch(() => {});
    return new Attacker(conn);
  }

  async #listen(): Promise<void> {
    const buffer = new Uint8Array(4096);
    try {
      for (
        let count = await this.#conn.read(buffer);
        count !== null;
        count = await this.#conn.read(buffer)
      ) {
        this.heard += new TextDecoder().decode(buffer.subarray(0, count));
      }
    } catch {
      // It was cut, or the test is over.
    }
  }

  close(): void {
    try {
      this.#conn.close();
    } catch {
      // It is closed.
    }
  }
}

/** The median and the 99th percentile of round trips in ms, of the best round. */
async function measure(conn: Connection): Promise<{ p50: number; p99: number }> {
  const best = { p50: Infinity, p99: Infinity };
  for (let round = 0; round < ROUNDS; round++) {
    const times: number[] = [];
    for (let trip = 0; trip < TRIPS; trip++) {
      const start = performance.now();
      await ask(conn, "hello");
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    best.p50 = Math.min(best.p50, times[TRIPS / 2]!);
    best.p99 = Math.min(best.p99, times[Math.floor(0.99 * TRIPS)]!);
  }
  return best;
}

/** Requests that must be refused, one after the other, until it has to stop. */
class Flood implements AsyncDisposable {
  readonly answers = new Map<string, number>();
  #stopped = false;
  readonly #running: Promise<void>[];

  constructor(port: number, requests: readonly string[]) {
    this.#running = requests.map(async (request) => {
      while (!this.#stopped) {
        const attacker = await Attacker.to(port, request);
        await attacker.ended;
        attacker.close();
        const status = attacker.heard.slice(9, 12);
        this.answers.set(status, (this.answers.get(status) ?? 0) + 1);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }
}

Deno.test({
  name:
    `a crowd of ${CROWD}, slow headers, other names and POST at the statistics page leave the message server alone` +
    processStats,
  ignore: !hasProcessStats,
  async fn() {
    await using program = new Program("tests/stats/attacked_program.ts");
    const port = Number((await program.printed(/^server .* port: (\d+)/m))[1]);
    const pagePort = Number((await program.printed(/^page .* port: (\d+)/m))[1]);
    await using conn = await connect({ port, ...lines });
    const quiet = await measure(conn);
    const before = descriptorsOf(program.pid);

    const crowd = await Promise.all(
      Array.from(
        { length: CROWD },
        () => Attacker.to(pagePort, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
      ),
    );
    const crowded = await measure(conn);
    assert(descriptorsOf(program.pid) <= before + 100, "More connections than it should have");
    await Promise.all(crowd.map(({ ended }) => ended));
    const late = crowd.filter(({ heard }) => heard !== "");
    assert(late.length > 0 && late.length <= 64, `${late.length}`);
    for (const { heard } of late) assertMatch(heard, /^HTTP\/1\.1 408 /);
    for (const attacker of crowd) attacker.close();

    let flooded: typeof quiet;
    {
      await using flood = new Flood(pagePort, [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx",
        "GET /stats.json HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /stats.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        `GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"x".repeat(20_000)}\r\n\r\n`,
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no HTTP at all\r\n\r\n",
      ]);
      flooded = await measure(conn);
      await until("each kind was answered", () => flood.answers.size >= 4, 20_000);
      const statuses = [...flood.answers.keys()];
      for (const status of ["405", "421", "200", "400"]) {
        assert(statuses.includes(status), `${statuses}`);
      }
    }
    if (Deno.env.get("PARLEY_REPORT") === "1") console.log({ quiet, crowded, flooded });
    for (const { p50, p99 } of [crowded, flooded]) {
      assert(p50 < 20 + 10 * quiet.p50, `median ${p50} ms, ${quiet.p50} ms before`);
      assert(p99 < 150 + 10 * quiet.p99, `99 %: ${p99} ms, ${quiet.p99} ms before`);
    }
    const good = await fetch(`http://127.0.0.1:${pagePort}/healthz`, {
      headers: { connection: "close" },
    });
    assertEquals(await good.text(), "ok\n");
    // Deno opens a pair of sockets for itself with the first request.
    await until("the descriptors are back", () => descriptorsOf(program.pid) <= before + 2, 20_000);
  },
});
