// Does everything that may show a secret: logs at debug level, prints its objects, fails in all
// ways, and crashes at the end.
import { connectIpc, listenIpc, pairIpc, SecretKey } from "../../../ipc/mod.ts";
import { commands, tell } from "./tell.ts";

const [path = "", keyFile = "", passphraseFile = ""] = Deno.args;
const secret = await SecretKey.fromFile(keyFile);
const passphrase = await Deno.readTextFile(passphraseFile);
const show = (what: unknown) => {
  console.log(what);
  console.error(
    Deno.inspect(what, { depth: 20, showHidden: true, getters: true }),
    String(what),
    JSON.stringify(what),
  );
};

const options = {
  name: "test",
  path,
  secret,
  onQuery: () => Promise.reject(new Error("no answer")),
};
const server = await listenIpc(options);
const client = await connectIpc(options);
const other = await listenIpc({ name: "other", path: `${path}.2`, secret: passphrase });
for (const wrong of [SecretKey.generate(), passphrase]) {
  const attempt = { name: "test", path, secret: wrong, connectTimeoutMs: 1000 };
  await connectIpc(attempt).catch((error) => show([error, error.cause, error.stack]));
}
await client.query("?").catch(show);
await client.send(0, "").catch(show);
await listenIpc(options).catch(show);
await pairIpc({ ...options, encryption: false }, () => "").catch(show);
await SecretKey.fromFile(`${keyFile}.none`).catch(show);
await secret.toFile(keyFile).catch(show);
await SecretKey.fromPassphrase(passphrase.slice(0, 15), { name: "test" }).catch(show);
show([secret, options, server, client, other, [...server.clients.values()]]);
show([server.stats(), client.stats(), client.sessionId]);
tell({ ready: true });
await commands().getReader().read();
throw Object.assign(new Error("crash", { cause: secret }), { options, client });
