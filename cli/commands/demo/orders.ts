// Orders: what the process that started this one says on standard input.
import type { PartOrder } from "./protocol.ts";

/**
 * Iterates over orders. It ends when the process that sends them is gone, for any reason: then no
 * process waits for this process any more.
 */
export async function* orders(): AsyncGenerator<PartOrder, void> {
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield line as PartOrder;
  }
}
