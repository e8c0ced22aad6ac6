// A TLS client that shows a certificate to mutual_tls_server.ts and checks the server's.
//
//   deno run --allow-net --allow-read examples/mutual_tls_client.ts 5558 certificates/ "Good morning"
import { connect, ParleyError } from "@parley/parley";

const [port = "5558", folder = "certificates", text = "Good morning"] = Deno.args;

try {
  await using conn = await connect({
    hostname: "localhost",
    port: Number(port),
    tls: {
      caFile: `${folder}/ca.pem`, // servers with a certificate of this authority, and no others
      certFile: `${folder}/client.pem`,
      keyFile: `${folder}/client.key`,
    },
    timeoutMs: 3_000,
  });
  await conn.send(text);
  const answer = await conn.receive({ timeoutMs: 3_000 });
  console.log(answer === null ? "The server said nothing" : new TextDecoder().decode(answer));
} catch (error) {
  if (!(error instanceof ParleyError)) throw error;
  console.error(`${error.code}: ${error.message}`); // such as ERR_CERT_UNTRUSTED
  Deno.exitCode = 1;
}
