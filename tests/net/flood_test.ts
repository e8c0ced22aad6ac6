// Floods: a server that ran out of descriptors serves again once they are free.
import { assert, assertEquals } from "@std/assert";
import { TextLineStream } from "@std/streams";
import { dial, type DialTarget } from "../../net/dial.ts";
import { descriptorsOf } from "../support/programs/process_stats.ts";
import { until } from "../support/wait.ts";

const FLOOD = 100;
/** Descriptors that the server may have. */
const LIMIT = 64;

for (const kind of ["tcp", "unix", "deno", "node", "node-unix"]) {
  Deno.test({
    name: `Listener over ${kind} under ulimit -n ${LIMIT}, accepts again after a flood`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const directory = await Deno.makeTempDir();
      const path = `${directory}/socket`;
      const server = new Deno.Command("sh", {
        args: [
          "-c",
          `ulimit -n ${LIMIT}; exec "$0" run -A "$1" "$2" "$3"`,
          Deno.execPath(),
          SERVER,
          kind,
          path,
        ],
        // Deno's own background work must not meet the limit: it would end the process.
        env: { DENO_NO_UPDATE_CHECK: "1" },
        stdout: "piped",
      }).spawn();
      const lines = server.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(
        new TextLineStream(),
      );
      const reader = lines.getReader();
      try {
        const { value = "" } = await reader.read();
        const { port, ca } = JSON.parse(value) as { port: number; ca: string };
        await flood(
          server.pid,
          () =>
            kind.endsWith("unix")
              ? Deno.connect({ transport: "unix", path })
              : Deno.connect({ hostname: "127.0.0.1", port }),
        );
        await until("the server serves again", () => exchange(targetOf(kind, { port, path, ca })));
      } finally {
        server.kill();
        await server.status;
        await reader.cancel();
        await Deno.remove(directory, { recursive: true });
      }
    },
  });
}

const SERVER = new URL("./flood_server.ts", import.meta.url).pathname;

/** Opens more connections than the server can have, and lets go of them. */
async function flood(pid: number, connect: () => Promise<Deno.Conn>): Promise<void> {
  const attempts = await Promise.allSettled(Array.from({ length: FLOOD }, connect));
  const conns = attempts.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
  assert(conns.length > LIMIT, `Only ${conns.length} connections came about`);
  await until("the server has no descriptor left", () => descriptorsOf(pid) >= LIMIT);
  for (const conn of conns) conn.close();
}

function targetOf(
  kind: string,
  { port, path, ca }: { port: number; path: string; ca: string },
): DialTarget {
  const tls = {
    caCerts: [ca],
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    alpnProtocols: [],
    backend: "auto",
  } as const;
  if (kind === "tcp") return { port };
  if (kind === "unix") return { path };
  return kind === "node-unix" ? { path, tls } : { hostname: "localhost", port, tls };
}

/** True when the server answered within a second. */
async function exchange(target: DialTarget): Promise<boolean> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), 1000);
  try {
    const client = await dial(target, { signal: controller.signal });
    const onAbort = () => client.close();
    controller.signal.addEventListener("abort", onAbort);
    try {
      await client.write(new Uint8Array([1, 2, 3]));
      assertEquals(await client.read(), new Uint8Array([1, 2, 3]));
    } finally {
      client.close();
    }
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
