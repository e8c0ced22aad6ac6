// Serves a channel: checks every message against what it must be, sends it back, and reports it.
import { listenIpc, SecretKey } from "../../../ipc/mod.ts";
import { pattern } from "./pattern.ts";
import { tell } from "./tell.ts";

const [path = "", keyFile = ""] = Deno.args;
const server = await listenIpc({
  name: "test",
  path,
  secret: await SecretKey.fromFile(keyFile),
  handshakeTimeoutMs: 400,
  onQuery: (data) => data,
  onError: (error) => tell({ error: (error as { code?: string }).code ?? String(error) }),
});
tell({ listening: server.status });
for await (const { client, type, data } of server) {
  const expected = pattern(type);
  const same = data.length === expected.length && data.every((byte, i) => byte === expected[i]);
  tell(same ? { got: type } : { wrong: type });
  await client.send(type, data).catch(() => {});
}
