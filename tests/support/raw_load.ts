// rawLoad(): a load loop that knows nothing of Parley, to compare with: bytes over sockets, counted.

/** What {@linkcode rawLoad} does. */
export interface RawLoadOptions {
  /** Where the server listens that sends back what it gets. */
  readonly port: number;
  readonly connections: number;
  /** Size of a message with its line feed, in bytes. */
  readonly frameBytes: number;
  /** Messages without an answer, on each connection. */
  readonly inFlight: number;
  /** Time before the measurement, in ms. */
  readonly warmUpMs: number;
  readonly durationMs: number;
}

/** Sends lines, and as many again as came back, for a time; gives how many came back in a second. */
export async function rawLoad(options: RawLoadOptions): Promise<number> {
  const { port, connections, frameBytes, inFlight, warmUpMs, durationMs } = options;
  const line = new Uint8Array(frameBytes).fill(97);
  line[frameBytes - 1] = 10;
  const lines = new Uint8Array(frameBytes * inFlight);
  for (let i = 0; i < inFlight; i++) lines.set(line, i * frameBytes);
  const sockets = await Promise.all(
    Array.from({ length: connections }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  const beginMs = performance.now() + warmUpMs;
  const endMs = beginMs + durationMs;
  let bytes = 0;
  await Promise.all(sockets.map(async (socket) => {
    const buffer = new Uint8Array(65536);
    let rest = 0;
    await write(socket, lines);
    for (;;) {
      const length = await socket.read(buffer);
      if (length === null) throw new Error("The server ended a connection");
      const nowMs = performance.now();
      if (nowMs >= endMs) break;
      if (nowMs >= beginMs) bytes += length;
      rest += length;
      const whole = rest - rest % frameBytes;
      rest -= whole;
      if (whole > 0) await write(socket, lines.subarray(0, whole));
    }
    socket.close();
  }));
  return bytes / frameBytes * 1000 / durationMs;
}

async function write(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}

if (import.meta.main) {
  const [port = "", connections = "10", inFlight = "1", durationMs = "1000"] = Deno.args;
  const load = { frameBytes: 65, warmUpMs: 300, durationMs: Number(durationMs) };
  // deno-lint-ignore no-console
  console.log(
    await rawLoad({
      ...load,
      port: Number(port),
      connections: Number(connections),
      inFlight: Number(inFlight),
    }),
  );
}
