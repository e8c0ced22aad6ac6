// A TLS server that only talks to clients with a certificate of its own authority, and knows them by name.
//
//   deno run --allow-net --allow-read --allow-write examples/mutual_tls_server.ts 5558 certificates/
//
// Where the folder has no certificates yet, it makes them: an authority, one for the server, one
// for a client.
import { serve } from "@parley/parley";
import { createCa, createCertificate, writeIdentity } from "@parley/parley/tls";

const [port = "5558", folder = "certificates"] = Deno.args;

async function makeCertificates(): Promise<void> {
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const ca = await createCa({ name: "Example CA" });
  const server = await createCertificate({ ca, hosts: ["localhost", "127.0.0.1"] });
  const client = await createCertificate({ ca, client: true, name: "agent-7" });
  for (const [name, identity] of Object.entries({ server, client })) {
    await writeIdentity({
      ...identity,
      certFile: `${folder}/${name}.pem`,
      keyFile: `${folder}/${name}.key`,
    });
  }
  await Deno.writeTextFile(`${folder}/ca.pem`, ca.cert); // the key is not kept: no more clients
}

await Deno.lstat(`${folder}/ca.pem`).catch(makeCertificates);
serve({
  port: Number(port),
  tls: {
    certFile: `${folder}/server.pem`,
    keyFile: `${folder}/server.key`,
    watch: true, // new files are taken up without a restart
    clientCaFile: `${folder}/ca.pem`, // who has no certificate of this authority is refused
  },
  onListen: (addr) => console.log("Listening on", addr),
  onError: (error, { phase }) =>
    console.error(`${phase}: ${error instanceof Error ? error.message : error}`),
}, async (conn) => {
  const who = conn.tls?.peerCertificate?.subject;
  for await (const message of conn) {
    await conn.send(`${who} said: ${new TextDecoder().decode(message)}`);
  }
});
