// Server of the race of calls, under Deno or Node: `server.ts <contestant> <path>` prints where it listens.
import process from "node:process";
import type { Contestant } from "./contestants/contestant.ts";

const [name, path] = process.argv.slice(2) as [string, string];
const { contestant } = await import(`./contestants/${name}.ts`) as { contestant: Contestant };
console.log(await contestant.serve(path));
