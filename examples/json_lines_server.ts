// A server of a JSON-lines protocol: one request a line, one answer a line, errors with a code.
//
//   deno run --allow-net examples/json_lines_server.ts 5556
//
// A request is {"id":1,"method":"add","params":[19,23]}, its answer {"id":1,"result":42} or
// {"id":1,"error":{"code":"NO_SUCH_METHOD","message":"..."}}. Ask with json_lines_client.ts.
import { type Connection, delimited, serve } from "@parley/parley";

/** What a client receives when its request failed. */
class RequestError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const methods: Record<string, (params: unknown[]) => unknown> = {
  add: (params) => params.map(toNumber).reduce((sum, value) => sum + value, 0),
  upper: (params) => params.map((text) => String(text).toUpperCase()),
  time: () => new Date().toISOString(),
};

function toNumber(value: unknown): number {
  if (typeof value === "number") return value;
  throw new RequestError("BAD_PARAMS", `Wanted numbers, got ${JSON.stringify(value)}`);
}

function parse(line: Uint8Array): Record<string, unknown> {
  try {
    const request: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
    if (typeof request === "object" && request !== null) return request as Record<string, unknown>;
  } catch {
    // Answered below: the parser's text about the bytes does not help the client.
  }
  throw new RequestError("BAD_JSON", "The line is no JSON object in UTF-8");
}

function answer(line: Uint8Array): string {
  let id: unknown = null;
  try {
    const request = parse(line);
    id = request["id"] ?? null;
    const { method, params = [] } = request;
    if (typeof method !== "string" || !Object.hasOwn(methods, method)) {
      throw new RequestError("NO_SUCH_METHOD", `There are ${Object.keys(methods).join(", ")}`);
    }
    if (!Array.isArray(params)) throw new RequestError("BAD_PARAMS", `"params" must be an array`);
    return JSON.stringify({ id, result: methods[method]!(params) });
  } catch (error) {
    if (!(error instanceof RequestError)) throw error; // our fault: for onError, not for the peer
    return JSON.stringify({ id, error: { code: error.code, message: error.message } });
  }
}

serve({
  port: Number(Deno.args[0] ?? 5556),
  framing: delimited("\n"),
  maxMessageBytes: 64 * 1024,
  onListen: (addr) => console.log("Listening on", addr),
}, async (conn: Connection) => {
  for await (const line of conn) await conn.send(answer(line));
});
