// Idle connections: `idle.ts <backend> <address> <folder> <connections>` opens them, prints how many
// they are, and holds them until it is ended.
import { dial } from "./dial.ts";

const [backend, address, folder, count] = Deno.args as [string, string, string, string];
const held: Deno.Conn[] = [];
await Promise.all(Array.from({ length: 16 }, async (_, first) => {
  for (let at = first; at < Number(count); at += 16) {
    held.push(await dial(backend, address, folder));
  }
}));
console.log(held.length);
setInterval(() => {}, 1000);
