// Idle memory: `idle.ts <address> <backend> <folder> <connections>` opens connections, says so, and
// holds them until it is ended.
const [address, backend, folder, count] = Deno.args as [string, string, string, string];
const caCerts = backend.startsWith("tls") ? [Deno.readTextFileSync(`${folder}/ca.pem`)] : [];
const held: Deno.Conn[] = [];
for (let i = 0; i < Number(count); i++) {
  const conn = backend === "unix"
    ? await Deno.connect({ transport: "unix", path: address })
    : await Deno.connect({ hostname: "127.0.0.1", port: Number(address) });
  if (backend === "unix" || caCerts.length === 0) {
    held.push(conn);
    continue;
  }
  const tls = await Deno.startTls(conn as Deno.TcpConn, { hostname: "localhost", caCerts });
  await tls.handshake();
  held.push(tls);
}
console.log(held.length);
setInterval(() => {}, 1000);
