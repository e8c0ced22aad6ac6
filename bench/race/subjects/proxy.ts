// Proxies: splice() as a TCP proxy, against a raw loop, socat and nginx.
import type { Contest, Turn } from "../contest.ts";
import type { Place, Program, Subject } from "../place.ts";
import { isAtHand } from "../programs.ts";

/** Starts a proxy for a backend; a text says why there is none. */
type ProxyOf = (target: string, folder: string) => Program | string;

const ours = (kind: string): ProxyOf => (target) => ({
  file: "pool/proxy.ts",
  args: [kind, target],
});

const PROXIES: Readonly<Record<string, ProxyOf>> = {
  "raw loop": ours("loop"),
  socat: socat("8192"),
  "socat -b 65536": socat("65536"),
  nginx,
  "splice()": ours("parley"),
};

/** The subject. */
export const proxy: Subject = {
  name: "proxy",
  title: "A proxy of TCP",
  about: "A proxy is on one core, load and backend are on the other. What counts is the proxy's " +
    "processor time, against socat, which has a process for each connection, wall clock.",
  contests(place: Place): Contest[] {
    const [mib, connections] = place.settings.quick ? [64, 200] : [512, 1000];
    return [
      contestOf(place, "bulk", mib!, `proxy, ${mib} MiB one way`, "MiB"),
      contestOf(
        place,
        "short",
        connections!,
        `proxy, ${connections} short connections, 16 at once`,
        "connection",
      ),
    ];
  },
};

function contestOf(
  place: Place,
  plan: "bulk" | "short",
  amount: number,
  work: string,
  unit: string,
): Contest {
  return {
    work,
    unit,
    contestants: Object.fromEntries(
      Object.entries(PROXIES).map((
        [name, start],
      ) => [name, () => turn(place, start, plan, amount)]),
    ),
    rows: Object.keys(PROXIES).filter((name) => name !== "splice()")
      .map((baseline) => ({
        ours: "splice()",
        baseline,
        // It forks for each connection, and the time of a child goes with it.
        by: baseline.startsWith("socat") ? "wall" : "server",
      })),
  };
}

function turn(
  place: Place,
  proxyOf: ProxyOf,
  plan: string,
  amount: number,
): Promise<Turn | string> {
  return place.withServer<Turn | string>(
    { file: "pool/sink.ts", args: [], cores: "1" },
    (target) => {
      const program = proxyOf(target, place.folder);
      if (typeof program === "string") return Promise.resolve(program);
      return place.withServer(
        program,
        (port, pid) =>
          place.load({ file: "pool/load.ts", args: [plan, port, String(amount), String(pid)] }),
      );
    },
  );
}

/** A port that is free just now, for programs that cannot pick one. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

function socat(bufferBytes: string): ProxyOf {
  return (target) => {
    if (!isAtHand("socat", "-V")) return "socat is not at hand";
    const port = freePort();
    const listen = `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,backlog=512,nodelay`;
    const args = ["-b", bufferBytes, listen, `TCP:127.0.0.1:${target},nodelay`];
    return { file: "", runtime: ["socat"], args, port };
  };
}

const NGINX_MODULES = [
  "/usr/lib/nginx/modules/ngx_stream_module.so",
  "/usr/lib64/nginx/modules/ngx_stream_module.so",
];

function nginx(target: string, folder: string): Program | string {
  if (!isAtHand("nginx", "-v")) return "nginx is not at hand";
  const port = freePort();
  const module = NGINX_MODULES.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
  const config = `${module === undefined ? "" : `load_module ${module};`}
    daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
    events { worker_connections 4096; }
    stream { server {
      listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${target};
      proxy_half_close on; proxy_buffer_size 64k;
    } }`;
  Deno.writeTextFileSync(`${folder}/nginx.conf`, config);
  return { file: "", runtime: ["nginx"], args: ["-c", `${folder}/nginx.conf`], port };
}
