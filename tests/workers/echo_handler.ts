// A handler's module: it echoes lines, and does what some lines say.
import { type Connection, delimited, type WorkerModuleOptions } from "@parley/parley";
import process from "node:process";

export function options(
  { worker, input }: { worker: number; input: unknown },
): WorkerModuleOptions {
  number = worker;
  given = input;
  return { framing: delimited("\n") };
}

let number = 0;
let given: unknown;

/** Fills the heap, so that the thread runs out of memory. */
function fill(): never {
  for (const list: unknown[] = [];;) list.push(new Array(10_000).fill(list.length));
}

const DEEDS: Readonly<Record<string, (conn: Connection) => unknown>> = {
  who: (conn) => conn.send(`${number} ${JSON.stringify(given)}`),
  throw: () => {
    throw new RangeError("a handler's own error");
  },
  die: () =>
    setTimeout(() => {
      throw new RangeError("an error that no code handles");
    }),
  reject: () => void Promise.reject(new RangeError("a rejection that no code handles")),
  exit: () => process.exit(7),
  fill,
  hang: () => {
    for (;;);
  },
  wait: () => new Promise(() => {}),
};

export default async function (conn: Connection): Promise<void> {
  for await (const message of conn) {
    const text = new TextDecoder().decode(message);
    const deed = DEEDS[text];
    if (deed === undefined) await conn.send(message);
    else await deed(conn);
  }
}
