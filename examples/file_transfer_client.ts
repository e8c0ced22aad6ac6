// A client that sends files to file_transfer_server.ts and says what became of them.
//
//   deno run --allow-net --allow-read examples/file_transfer_client.ts 5557 README.md LICENSE
import { connect, lengthPrefixed, raw } from "@parley/parley";
import { createHash } from "node:crypto";
import { basename } from "node:path";

const [port = "5557", ...paths] = Deno.args;
await using conn = await connect({ port: Number(port) });

for (const path of paths) {
  using file = await Deno.open(path);
  const { size } = await file.stat();
  await conn.send(JSON.stringify({ name: basename(path), size }));

  conn.setFraming(raw()); // from here on bytes go out as they are
  const hash = createHash("sha256");
  let sent = 0;
  for await (const piece of file.readable) {
    hash.update(piece);
    sent += piece.length;
    await conn.send(piece); // waits while the server is slower than we are: memory stays small
  }
  if (sent !== size) throw new Error(`${path} changed while it was sent`);
  conn.setFraming(lengthPrefixed()); // and from here on messages again

  await conn.send(JSON.stringify({ sha256: hash.digest("hex") }));
  const answer = await conn.receive();
  if (answer === null) throw new Error("The server left before it answered");
  console.log(path, new TextDecoder().decode(answer));
}
