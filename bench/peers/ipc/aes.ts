// AES-256-GCM alone: `aes.ts <bytes> <seconds>` seals and opens records as IPC does, without a
// socket; prints what it measured as JSON. Each figure is of this thread and the threads behind
// WebCrypto.
import { Meter } from "../meter.ts";

const [bytes, seconds] = Deno.args.map(Number) as [number, number];
const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, [
  "encrypt",
  "decrypt",
]);
const plain = crypto.getRandomValues(new Uint8Array(bytes));
const algorithm = { name: "AES-GCM", iv: new Uint8Array(12) };
const sealed = await crypto.subtle.encrypt(algorithm, key, plain);

async function run(work: () => Promise<ArrayBuffer>, forSeconds: number): Promise<number> {
  const end = performance.now() + forSeconds * 1000;
  let done = 0;
  for (; performance.now() < end; done++) await work();
  return done;
}

const seal = () => crypto.subtle.encrypt(algorithm, key, plain);
const open = () => crypto.subtle.decrypt(algorithm, key, sealed);
await run(seal, 0.3);
await run(open, 0.3);
const sealing = new Meter(0);
const sealResult = sealing.read(await run(seal, seconds / 2));
const opening = new Meter(0);
const openResult = opening.read(await run(open, seconds / 2));
console.log(JSON.stringify({
  perSecond: Math.min(sealResult.perSecond, openResult.perSecond),
  loadMicros: sealResult.loadMicros,
  serverMicros: openResult.loadMicros,
}));
Deno.exit(0);
