// A client of the JSON-lines protocol of json_lines_server.ts: asks once and prints the result.
//
//   deno run --allow-net examples/json_lines_client.ts 5556 add 19 23
import { connect, type Connection, delimited } from "@parley/parley";

/** The server's answer was an error; match on `code`. */
class RequestError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A connection and its answers by the id of their request, so that many requests can be under way. */
class JsonLines {
  readonly conn: Connection;
  #lastId = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();

  constructor(conn: Connection) {
    this.conn = conn;
    void this.#read();
  }

  async call(method: string, params: unknown[]): Promise<unknown> {
    const answer = Promise.withResolvers<unknown>();
    const id = ++this.#lastId;
    this.#waiting.set(id, answer);
    await this.conn.send(JSON.stringify({ id, method, params }));
    return await answer.promise;
  }

  async #read(): Promise<void> {
    let end: unknown = new Error("The server closed the connection");
    try {
      for await (const line of this.conn) {
        const { id, result, error } = JSON.parse(new TextDecoder().decode(line));
        if (error) this.#waiting.get(id)?.reject(new RequestError(error.code, error.message));
        else this.#waiting.get(id)?.resolve(result);
        this.#waiting.delete(id);
      }
    } catch (error) {
      end = error;
    }
    for (const answer of this.#waiting.values()) answer.reject(end);
  }
}

const [port = "5556", method = "time", ...params] = Deno.args;
await using conn = await connect({
  port: Number(port),
  framing: delimited("\n"),
  timeoutMs: 3_000,
});
try {
  const values = params.map((text) => Number.isNaN(Number(text)) ? text : Number(text));
  console.log(await new JsonLines(conn).call(method, values));
} catch (error) {
  if (!(error instanceof RequestError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  Deno.exitCode = 1;
}
