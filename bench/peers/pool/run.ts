// Races splice() against other TCP proxies: a raw loop, socat, nginx. `--mebibytes 256
// --connections 1000 --pairs 5 --json`
import { parseArgs } from "@std/cli/parse-args";
import { canPin, firstLine, type Outcome, race, result, row, start, stop } from "../race.ts";

const flags = parseArgs(Deno.args, {
  string: ["mebibytes", "connections", "pairs"],
  boolean: ["json"],
});
const mebibytes = flags.mebibytes ?? "256";
const connections = flags.connections ?? "1000";
const pairs = Number(flags.pairs ?? 5);

/** A port that is free just now, for programs that cannot pick one. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** Starts a program that is not ours, on the core of the proxies, and waits until it listens. */
async function startOther(
  line: readonly string[],
  port: number,
): Promise<Deno.ChildProcess | null> {
  const [program, ...args] = canPin() ? ["taskset", "-c", "0", ...line] : line;
  let child: Deno.ChildProcess;
  try {
    await new Deno.Command(line[0]!, { args: ["-V"], stdout: "null", stderr: "null" }).output();
    child = new Deno.Command(program!, { args, stdout: "null", stderr: "null" }).spawn();
  } catch {
    return null;
  }
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return child;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  await stop(child);
  return null;
}

async function startSocat(
  target: number,
  port: number,
  bufferBytes: string,
): Promise<Deno.ChildProcess | null> {
  const listen = `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,backlog=512,nodelay`;
  return await startOther(
    ["socat", "-b", bufferBytes, listen, `TCP:127.0.0.1:${target},nodelay`],
    port,
  );
}

async function startNginx(
  target: number,
  port: number,
  folder: string,
): Promise<Deno.ChildProcess | null> {
  const modules = [
    "/usr/lib/nginx/modules/ngx_stream_module.so",
    "/usr/lib64/nginx/modules/ngx_stream_module.so",
  ];
  const path = modules.find((each) => {
    try {
      return Deno.statSync(each).isFile;
    } catch {
      return false;
    }
  });
  const config = `${path === undefined ? "" : `load_module ${path};`}
    daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
    events { worker_connections 4096; }
    stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${target}; proxy_half_close on; proxy_buffer_size 64k; } }`;
  await Deno.writeTextFile(`${folder}/nginx.conf`, config);
  return await startOther(["nginx", "-c", `${folder}/nginx.conf`], port);
}

async function measure(plan: "bulk" | "short", port: number): Promise<number> {
  const load = start(1, "pool/load.ts", [
    plan,
    `${port}`,
    plan === "bulk" ? mebibytes : connections,
  ]);
  return (await result<{ perSecond: number }>(load)).perSecond;
}

const folder = await Deno.makeTempDir({ prefix: "parley-race-" });
const children: Deno.ChildProcess[] = [];
const outcomes: Outcome[] = [];
try {
  const sink = start(1, "pool/sink.ts", []);
  children.push(sink);
  const target = Number(await firstLine(sink));
  const ports: Record<string, number> = {};
  for (const kind of ["parley", "loop"]) {
    const proxy = start(0, "pool/proxy.ts", [kind, `${target}`]);
    children.push(proxy);
    ports[kind] = Number(await firstLine(proxy));
  }
  for (const name of ["socat", "socat -b 65536", "nginx"]) {
    const port = freePort();
    const child = name === "nginx"
      ? await startNginx(target, port, folder)
      : await startSocat(target, port, name === "socat" ? "8192" : "65536");
    if (child === null) {
      console.error(`Without ${name}, which is not at hand`);
      continue;
    }
    children.push(child);
    ports[name] = port;
  }
  for (const plan of ["bulk", "short"] as const) {
    const [subject, unit] = plan === "bulk"
      ? [`proxy, ${mebibytes} MiB one way`, "MiB/s"]
      : [`proxy, ${connections} short connections, 16 at a time`, "1/s"];
    for (const [name, port] of Object.entries(ports)) {
      if (name === "parley") continue;
      const ours = () => measure(plan, ports["parley"]!);
      const outcome = await race(subject, unit, pairs, ours, name, () => measure(plan, port));
      outcomes.push(outcome);
      if (!flags.json) console.log(row(outcome));
    }
  }
  if (flags.json) {
    console.log(JSON.stringify({ deno: Deno.version.deno, pinned: canPin(), outcomes }));
  }
} finally {
  for (const child of children) {
    if (child.pid > 0) child.kill("SIGTERM");
    await child.status;
  }
  await Deno.remove(folder, { recursive: true });
}
