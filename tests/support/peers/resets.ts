// Connections that are reset before they can be accepted.
import net from "node:net";

/**
 * Connects so many times, one after the other, and resets each connection at once. A listener whose
 * `accept` is not under way has them all in its queue.
 */
export async function connectAndReset(
  target: { port: number } | { path: string },
  count: number,
): Promise<void> {
  for (let index = 0; index < count; index++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = net.connect("port" in target ? { ...target, host: "127.0.0.1" } : target);
    socket.on("connect", () => socket.resetAndDestroy());
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    await promise;
  }
}

/** The same by another process while this one sleeps: not even the platform accepts any of them meanwhile. */
export function resetBeforeAccept(port: number, count: number): void {
  const code = `import { connectAndReset } from ${JSON.stringify(import.meta.url)};
    await connectAndReset({ port: ${port} }, ${count});`;
  const args = ["eval", "--no-config", "--ext=ts", code];
  const { success, stderr } = new Deno.Command(Deno.execPath(), { args }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
