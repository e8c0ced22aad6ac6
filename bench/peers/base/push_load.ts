// Load of the push races: reads stamped messages and prints how late 99 of 100 were at most, in ms.
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
console.log(JSON.stringify({ value: late[Math.floor(0.99 * late.length)] }));
