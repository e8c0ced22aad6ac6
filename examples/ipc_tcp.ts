// IPC over TCP: host and port come from the environment, the secret from a file that both sides have.
//
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=PARLEY_IPC_HOST,PARLEY_IPC_PORT examples/ipc_tcp.ts keygen /tmp/demo.key
//   PARLEY_IPC_PORT=7300 deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=PARLEY_IPC_HOST,PARLEY_IPC_PORT examples/ipc_tcp.ts serve /tmp/demo.key
//   PARLEY_IPC_PORT=7300 deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=PARLEY_IPC_HOST,PARLEY_IPC_PORT examples/ipc_tcp.ts ask /tmp/demo.key
import { connectIpc, listenIpc, SecretKey } from "@parley/parley/ipc";

const [role = "serve", keyFile = "demo.key"] = Deno.args;
if (role === "keygen") {
  await SecretKey.generate().toFile(keyFile); // 0600, and never over another file
  Deno.exit();
}

const options = {
  name: "demo",
  transport: "tcp",
  secret: await SecretKey.fromFile(keyFile),
} as const;
if (role === "serve") {
  const server = await listenIpc({
    ...options,
    onQuery: (data) => `${data.length} bytes, and nobody listened in`,
  });
  console.log("Serving on", server.addr);
} else {
  await using client = await connectIpc(options);
  console.log(new TextDecoder().decode(await client.query("How much is this?")));
}
