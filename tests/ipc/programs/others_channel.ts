// Tries to get at channels that are private to root as user 65534, and prints what comes of it, a line each.
import process from "node:process";
import { connectIpc, listenIpc, SecretKey } from "@parley/parley/ipc";

const [dir = ""] = Deno.args;
const secret = SecretKey.generate();
const logger = { debug() {}, info() {}, warn() {}, error() {} };
Deno.chmodSync(dir, 0o755);
Deno.mkdirSync(`${dir}/private`, { mode: 0o700 });
await using _hidden = await listenIpc({
  name: "test",
  path: `${dir}/private/a.sock`,
  secret,
  logger,
});
await using _shown = await listenIpc({ name: "test", path: `${dir}/b.sock`, secret, logger });
await using _keyed = await listenIpc({ name: "test", path: `${dir}/c.sock`, logger });

async function attempt(run: () => Promise<unknown>): Promise<void> {
  process.seteuid!(65534);
  const error = await run().then(() => new Error("got in"), (reason) => reason);
  process.seteuid!(0);
  console.log(`${error.code ?? error.name} ${error.message}`);
}
const channel = {
  name: "test",
  owner: 0,
  logger,
  reconnect: false,
  connectTimeoutMs: 2000,
} as const;
await attempt(() => connectIpc({ ...channel, path: `${dir}/private/a.sock`, secret }));
await attempt(() => connectIpc({ ...channel, path: `${dir}/b.sock`, secret }));
await attempt(() => listenIpc({ name: "test", path: `${dir}/private/a.sock`, secret, logger }));
await attempt(() =>
  connectIpc({
    name: "test",
    path: `${dir}/c.sock`,
    logger,
    reconnect: false,
    connectTimeoutMs: 2000,
  })
);
