// A cipher of one's own: ChaCha20-Poly1305 in the place of the built-in AES-256-GCM, keyed by what
// only both sides know.
//
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=XDG_RUNTIME_DIR examples/ipc_provider.ts serve vault
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=XDG_RUNTIME_DIR examples/ipc_provider.ts ask vault
import {
  connectIpc,
  type EncryptionContext,
  type EncryptionProvider,
  listenIpc,
} from "@parley/parley/ipc";
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";

const TAG_BYTES = 16;

/** Each direction of each connection has a key of its own, so that no number is used twice with one key. */
function keyAndNonce(
  { exporter, sessionId, sender, sequence }: EncryptionContext,
): [Uint8Array, Uint8Array] {
  const key = new Uint8Array(hkdfSync("sha384", exporter, sessionId, `chacha20 ${sender}`, 32));
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, BigInt(sequence));
  return [key, nonce];
}

const chacha20: EncryptionProvider = {
  name: "chacha20-poly1305",
  seal(plain, context) {
    const [key, nonce] = keyAndNonce(context);
    const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(context.additionalData, { plaintextLength: plain.length });
    const sealed = new Uint8Array(plain.length + TAG_BYTES);
    sealed.set(cipher.update(plain));
    cipher.final();
    sealed.set(cipher.getAuthTag(), plain.length);
    return sealed;
  },
  open(sealed, context) {
    const [key, nonce] = keyAndNonce(context);
    const end = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv("chacha20-poly1305", key, nonce, {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(context.additionalData, { plaintextLength: end });
    decipher.setAuthTag(sealed.subarray(end));
    const plain = new Uint8Array(decipher.update(sealed.subarray(0, end)));
    decipher.final(); // throws when a bit was changed
    return plain;
  },
};

const [role = "serve", name = "vault"] = Deno.args;
if (role === "serve") {
  const server = await listenIpc({
    name,
    encryption: chacha20,
    onQuery: (data) => data.toReversed(),
  });
  console.log("Serving", server.name);
} else {
  await using client = await connectIpc({ name, encryption: chacha20 });
  console.log(new TextDecoder().decode(await client.query("desserts")));
}
