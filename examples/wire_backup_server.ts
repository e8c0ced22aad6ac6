// A backup server: keeps every file that a client sends, under the client's name and the file's.
//
//   TOKEN=secret deno run --allow-net --allow-env --allow-read --allow-write examples/wire_backup_server.ts 7000 backups
//
// Then send files with wire_backup_client.ts.
import { mount, sameToken } from "@parley/parley/wire";

const [port = "7000", folder = "backups"] = Deno.args;
const secret = Deno.env.get("TOKEN") ?? "secret";

const wire = mount({ port: Number(port), authorize: ({ token }) => sameToken(token, secret) });

wire.handle("backup", async (stream, { identity }) => {
  // Names come from the peer: nothing but plain ones.
  const names = (stream.meta["names"] as unknown[]).map(String);
  if (![identity, ...names].every((name) => /^\w[\w.-]*$/.test(name))) {
    throw new Error("Not a plain name");
  }
  await Deno.mkdir(`${folder}/${identity}`, { recursive: true });
  for (const name of names) {
    const file = await Deno.open(`${folder}/${identity}/${name}`, {
      write: true,
      create: true,
      truncate: true,
    });
    const bytes = await stream.writeTo(file.writable);
    await file.writable.close(); // only now is all of it in the file
    console.log("Kept", identity, name, bytes);
  }
  await stream.write("kept");
});
await wire.ready;
console.log("Listening on", wire.addr);
