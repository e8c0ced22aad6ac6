// Connects on a command, sends messages, wants them back, and reports how that ended.
import { connectIpc, SecretKey } from "../../../ipc/mod.ts";
import { pattern } from "./pattern.ts";
import { codeOf, commands, tell } from "./tell.ts";

const [keyFile = ""] = Deno.args;
const secret = await SecretKey.fromFile(keyFile);
tell({ ready: true });
for await (const path of commands()) void talk(path);

async function talk(path: string): Promise<void> {
  try {
    const client = await connectIpc({
      name: "test",
      path,
      secret,
      reconnect: false,
      handshakeTimeoutMs: 400,
      connectTimeoutMs: 4000,
    });
    const reading = (async () => {
      for (let type = 1; type <= 6; type++) {
        const message = await client.receive();
        const expected = pattern(type);
        const same = message?.type === type && message.data.every((byte, i) => byte === expected[i]);
        if (!same) tell({ path, wrong: type });
      }
    })();
    reading.catch(() => {});
    for (let type = 1; type <= 6; type++) await client.send(type, pattern(type));
    await reading;
    await client.close();
    tell({ path, ok: true });
  } catch (error) {
    tell({ path, code: codeOf(error) });
  }
}
