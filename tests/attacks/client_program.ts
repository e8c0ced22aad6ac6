// A client that sends without end to a server that never reads, and reports how much it held. Its
// one argument is JSON.
import { connect } from "@parley/parley";

const { mode, port, options } = JSON.parse(Deno.args[0] ?? "{}");
const chunk = new Uint8Array(64 * 1024).fill(7);
const conn = await connect({ port, ...options, writeTimeoutMs: 60_000 });
const residentBytes = Deno.memoryUsage().rss;

/** Returns how things stand. */
function report(error: unknown): void {
  (globalThis as { gc?: () => void }).gc?.();
  const code = (error as { code?: string } | null)?.code ?? null;
  console.log(
    `report ${JSON.stringify({ queuedBytes: conn.stats().queuedBytes, code, residentBytes })}`,
  );
}

/** Whether a send waits and nothing moves any more. */
async function isStuck(sending: Promise<void>): Promise<boolean> {
  const settled = sending.then(() => true, () => true);
  for (let before = -1;;) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), 150));
    if (await Promise.race([settled, late]).finally(() => clearTimeout(timer))) return false;
    const { bytesOut } = conn.stats();
    if (bytesOut === before) return true;
    before = bytesOut;
  }
}

for (;;) {
  // A message of its own each time: what is held is held for real.
  const sending = conn.send(chunk.slice());
  try {
    if (mode === "push") {
      if (await isStuck(sending)) report(null);
      await sending;
    } else {
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (conn.status === "closed") await sending;
    }
  } catch (error) {
    report(error);
    break;
  }
}
// The test looks at what this process holds, and ends it.
await new Promise((resolve) => setTimeout(resolve, 60_000));
