// parley forward: local ports or sockets that lead through a hub to what others expose.
import { AuthError, LimitError } from "../../errors.ts";
import { type Forward, forward } from "../../wire/mod.ts";
import { ADDRESS_FORMS, parseAddress, type TypedAddress } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import { asTyped, UsageError } from "../command/usage.ts";
import type { Command } from "../command/command.ts";
import { kindOf, reasonOf } from "../output/error_lines.ts";
import { HUB_LINK_FLAGS, type HubLink, joinHub } from "./hub_link.ts";
import { sayDraining, tellListening } from "../output/listening.ts";
import { severalServices } from "./services.ts";
import { goOn, StopSignals } from "../process/stop.ts";

/** `parley forward` */
export const forwardCommand: Command = {
  name: "forward",
  summary: "Reach through a hub what others expose there",
  about:
    `Joins the hub at HUB, listens on LISTEN, which is ${ADDRESS_FORMS} (default: a free port), and brings each
    connection to what IDENTITY exposes as NAME. IDENTITY/NAME=LISTEN forwards several at once: two processes of one
    identity would end each other.

    It listens at once; connections wait while there is no link to the hub, while the other side is not there, and
    while as many as --max-connections are open, for as long as --timeout says. Then, and when it breaks anywhere on
    the way, a connection is reset.

    Joins again by itself when the hub is lost, and ends with 1 when it refuses the token. Ends in order on SIGINT and
    SIGTERM: open connections end first.`,
  operands: "HUB IDENTITY/NAME [LISTEN] | HUB IDENTITY/NAME=LISTEN...",
  flags: [
    ...HUB_LINK_FLAGS,
    {
      name: "max-connections",
      value: "COUNT",
      about: "Connections at a time for each LISTEN; more wait (default: 64)",
    },
    {
      name: "timeout",
      value: "TIME",
      about: "Longest wait of a connection for its turn and the other side (default: 10s)",
    },
  ],
  examples: [
    "parley forward hub.example:7000 office/web 9090 --identity home --tls",
    "parley forward 7000 office/db unix:/tmp/db.sock --identity home",
    "parley forward 7000 office/web=9090 shop/api=9091 --identity home",
  ],
  run: runForward,
};

/** What is forwarded to where. */
interface Service {
  readonly to: string;
  readonly name: string;
  readonly place: TypedAddress;
}

async function runForward(args: Arguments): Promise<number> {
  const { hub, services } = readOperands(args);
  const limits = {
    maxConnections: args.count("max-connections", { byDefault: 64, least: 1, most: 65_536 }),
    timeoutMs: args.ms("timeout", { byDefault: 10_000, least: 1, most: 600e3 }),
  };
  using stop = new StopSignals({ onHangUp: goOn });
  const link = await joinHub(args, hub);
  const { wire, failed, drainTimeoutMs } = link;
  using _lines = link.lines;
  try {
    for (const { to } of services) asTyped(() => wire.peer(to));
    const tunnels: Forward[] = [];
    for (const service of services) {
      const { to, name, place } = service;
      const tunnel = await forward(wire, name, {
        ...place,
        ...limits,
        to,
        onError: errorsTo(link, service),
      });
      tunnels.push(tunnel);
      const leadsTo = services.length > 1 ? `${to}/${name}` : undefined;
      tellListening(tunnel.addr, { json: args.has("json"), leadsTo });
    }
    await Promise.race([failed, stop.stopped]);
    return await drain(tunnels, link, drainTimeoutMs);
  } catch (error) {
    wire.abort();
    throw error;
  }
}

/** The hub, and what is forwarded from there. */
function readOperands(
  args: Arguments,
): { readonly hub: string; readonly services: readonly Service[] } {
  const [hub = "", ...rest] = args.operands;
  const several = severalServices(rest);
  if (several !== null) {
    return { hub, services: several.map(({ name, address }) => readService(name, address)) };
  }
  const [, where, listen] = args.someOperands("HUB", "IDENTITY/NAME", "[LISTEN]");
  return { hub, services: [readService(where, listen === "" ? "0" : listen)] };
}

function readService(where: string, listen: string): Service {
  const slash = where.indexOf("/");
  if (slash < 1 || slash === where.length - 1) {
    throw new UsageError(`What to reach is IDENTITY/NAME, such as office/web, not "${where}"`);
  }
  return { to: where.slice(0, slash), name: where.slice(slash + 1), place: parseAddress(listen) };
}

/** Logs errors of connections, limited per kind, because each client that hangs up causes one. */
function errorsTo({ lines, wire }: HubLink, { to, name }: Service): (error: unknown) => void {
  return (error) => {
    const fields = {
      ...reasonOf(error),
      ...forwardHint(error, `${wire.identity}:${to}:tcp:${name}`),
    };
    const text = "A connection was not brought through, or broke";
    lines.write({ level: "warn", text, fields, kind: kindOf(error) });
  };
}

/** What to do where the hub does not allow the stream, or our own limit is reached. */
function forwardHint(error: unknown, rule: string): { readonly hint?: string | undefined } {
  if (error instanceof AuthError && error.code === "ERR_FORBIDDEN") {
    return { hint: `the hub must allow it: --allow '${rule}'` };
  }
  if (error instanceof LimitError && error.code === "ERR_TOO_MANY_CONNECTIONS") {
    return { hint: "allow more with --max-connections, or a longer wait with --timeout" };
  }
  return {};
}

async function drain(
  tunnels: readonly Forward[],
  { wire }: HubLink,
  timeoutMs: number,
): Promise<number> {
  sayDraining(tunnels.reduce((sum, { connections }) => sum + connections, 0), "connection");
  const startMs = performance.now();
  await Promise.all(tunnels.map((tunnel) => tunnel.shutdown({ timeoutMs })));
  await wire.close({ timeoutMs: Math.max(1, timeoutMs - (performance.now() - startMs)) });
  return 0;
}
