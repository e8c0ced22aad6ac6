// The backend of the proxy races: reads to the end, answers with the count of bytes and their sum.
// Prints its port.
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log((listener.addr as Deno.NetAddr).port);

async function serve(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(262144);
  let count = 0;
  for (;;) {
    const length = await conn.read(buffer);
    if (length === null) break;
    count += length;
  }
  await conn.write(new Uint8Array(new BigUint64Array([BigInt(count)]).buffer));
  conn.close();
}

for await (const conn of listener) serve(conn).catch(() => conn.close());
