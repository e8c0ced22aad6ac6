// Load of the push race: reads stamped messages and prints how late they were, in ms.
const [port, folder, seconds] = Deno.args as [string, string, string];
const caCerts = [Deno.readTextFileSync(`${folder}/ca.pem`)];
const conn = await Deno.connectTls({ hostname: "localhost", port: Number(port), caCerts });
const late: number[] = [];
const buffer = new Uint8Array(65536);
let held = 0;
const endAt = performance.now() + Number(seconds) * 1000;
while (performance.now() < endAt) {
  const n = await conn.read(buffer.subarray(held));
  if (n === null) throw new Error("The server closed the connection");
  const nowMs = performance.timeOrigin + performance.now();
  held += n;
  let at = 0;
  for (const view = new DataView(buffer.buffer); held - at >= 12; at += 12) {
    late.push(nowMs - view.getFloat64(at + 4));
  }
  buffer.copyWithin(0, at, held);
  held -= at;
}
conn.close();
late.sort((a, b) => a - b);
const at = (part: number) => late[Math.min(late.length - 1, Math.floor(part * late.length))]!;
console.log(
  JSON.stringify({ messages: late.length, p50: at(0.5), p99: at(0.99), max: late.at(-1) }),
);
