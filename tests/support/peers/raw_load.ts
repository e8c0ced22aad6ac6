// rawLoad(): a load loop that knows nothing of Parley, to compare with: bytes over sockets, counted.

/** What {@linkcode rawLoad} does. */
export interface RawLoadOptions {
  /** Where the server listens that sends back what it gets. */
  readonly port: number;
  readonly connections: number;
  /** What is sent, framing included. */
  readonly frame: Uint8Array;
  /** Messages without an answer, on each connection. */
  readonly inFlight: number;
  /** Time before the measurement, in ms. */
  readonly warmUpMs: number;
  readonly durationMs: number;
}

/** Sends frames, and as many again as came back, for a time; returns how many came back in a second. */
export async function rawLoad(options: RawLoadOptions): Promise<number> {
  const { port, connections, frame, inFlight, warmUpMs, durationMs } = options;
  const frames = new Uint8Array(frame.length * inFlight);
  for (let i = 0; i < inFlight; i++) frames.set(frame, i * frame.length);
  const sockets = await Promise.all(
    Array.from({ length: connections }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  const beginMs = performance.now() + warmUpMs;
  const endMs = beginMs + durationMs;
  let bytes = 0;
  await Promise.all(sockets.map(async (socket) => {
    const buffer = new Uint8Array(65536);
    let rest = 0;
    await write(socket, frames);
    for (;;) {
      const length = await socket.read(buffer);
      if (length === null) throw new Error("The server ended a connection");
      const nowMs = performance.now();
      if (nowMs >= endMs) break;
      if (nowMs >= beginMs) bytes += length;
      rest += length;
      const whole = rest - rest % frame.length;
      rest -= whole;
      if (whole > 0) await write(socket, frames.subarray(0, whole));
    }
    socket.close();
  }));
  return bytes / frame.length * 1000 / durationMs;
}

async function write(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}
