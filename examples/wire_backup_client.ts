// A backup client: sends files over one stream, each as a segment.
//
//   TOKEN=secret deno run --allow-net --allow-env --allow-read examples/wire_backup_client.ts 7000 laptop README.md LICENSE
//
// Start wire_backup_server.ts first.
import { join } from "@parley/parley/wire";

const [port = "7000", identity = "laptop", ...paths] = Deno.args;
await using wire = join({ port: Number(port), identity, token: Deno.env.get("TOKEN") ?? "secret" });

const names = paths.map((path) => path.replace(/^.*[\\/]/, ""));
const stream = await wire.open("backup", { meta: { names } });
for (const path of paths) {
  const file = await Deno.open(path);
  console.log("Sent", path, await stream.readFrom(file.readable));
}
await stream.closeWrite();
console.log(
  await new Response(stream.readable).text() === "kept" ? "All kept" : "Not all was kept",
);
