// Connects on a command, sends messages, wants them back, and reports how that ended.
import { connectIpc, SecretKey } from "../../../ipc/mod.ts";
import { pattern } from "./pattern.ts";
import { codeOf, commands, tell } from "./tell.ts";

const [keyFile = ""] = Deno.args;
const secret = await SecretKey.fromFile(keyFile);
tell({ ready: true });
for await (const command of commands()) {
  const [, patiently, path = ""] = /^(patiently )?(.*)$/.exec(command) ?? [];
  void talk(path, patiently !== undefined);
}

/** With patience, what takes long on a busy machine is not given up. */
async function talk(path: string, patiently: boolean): Promise<void> {
  try {
    const client = await connectIpc({
      name: "test",
      path,
      secret,
      reconnect: false,
      handshakeTimeoutMs: patiently ? 20_000 : 400,
      connectTimeoutMs: patiently ? 25_000 : 4000,
    });
    const reading = (async () => {
      for (let type = 1; type <= 6; type++) {
        const message = await client.receive();
        const expected = pattern(type);
        const same = message?.type === type &&
          message.data.every((byte, i) => byte === expected[i]);
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
