// parley forward: a local port or socket that leads through a hub to what somebody exposes.
import { AuthError } from "../errors.ts";
import { type Forward, forward } from "../wire/mod.ts";
import { ADDRESS_FORMS, parseAddress } from "./address.ts";
import type { Arguments } from "./arguments.ts";
import { asTyped, type Command, UsageError } from "./command.ts";
import { HUB_LINK_FLAGS, type HubLink, joinHub } from "./hub_link.ts";
import { sayDraining, tellListening } from "./listening.ts";
import { StopSignals } from "./stop.ts";
import { reasonOf } from "./error_lines.ts";

/** `parley forward` */
export const forwardCommand: Command = {
  name: "forward",
  summary: "Reach through a hub what somebody exposes there",
  about:
    `Joins the hub at HUB, listens on LISTEN, which is ${ADDRESS_FORMS} (default: a free port), and brings each
    connection to what IDENTITY exposes as NAME. It listens at once; connections wait while there is no link to the
    hub, for as long as --timeout says.

    Joins again by itself when the hub is lost, and ends with 1 when it refuses the token. Ends in order on SIGINT and
    SIGTERM: open connections end first.`,
  operands: "HUB IDENTITY/NAME [LISTEN]",
  flags: [
    ...HUB_LINK_FLAGS,
    { name: "max-connections", value: "COUNT", about: "Connections at a time; more wait (default: 64)" },
    {
      name: "timeout",
      value: "TIME",
      about: "Longest wait of a connection for the other side (default: 10s)",
    },
  ],
  examples: [
    "parley forward hub.example:7000 office/web 9090 --identity home --tls",
    "parley forward 7000 office/db unix:/tmp/db.sock --identity home",
  ],
  run: runForward,
};

async function runForward(args: Arguments): Promise<number> {
  const [hub, where, listen] = args.someOperands("HUB", "IDENTITY/NAME", "[LISTEN]");
  const slash = where.indexOf("/");
  if (slash < 1 || slash === where.length - 1) {
    throw new UsageError(`What to reach is IDENTITY/NAME, such as office/web, not "${where}"`);
  }
  const place = parseAddress(listen === "" ? "0" : listen);
  const limits = {
    maxConnections: args.count("max-connections", { byDefault: 64, least: 1, most: 65_536 }),
    timeoutMs: args.ms("timeout", { byDefault: 10_000, least: 1, most: 600e3 }),
  };
  using stop = new StopSignals();
  const link = await joinHub(args, hub);
  const { wire, logger, drainTimeoutMs, failed } = link;
  const [to, name] = [where.slice(0, slash), where.slice(slash + 1)];
  try {
    const options = { ...place, ...limits, to };
    const onError = (error: unknown) => {
      const reason = { ...reasonOf(error), ...ruleHint(error, `${wire.identity}:${to}:tcp:${name}`) };
      logger.warn("A connection was not brought through, or broke", reason);
    };
    asTyped(() => wire.peer(to));
    const tunnel = await forward(wire, name, { ...options, onError });
    tellListening(tunnel.addr, { json: args.has("json") });
    await Promise.race([failed, stop.stopped]);
    return await drain(tunnel, link, drainTimeoutMs);
  } catch (error) {
    wire.abort();
    throw error;
  }
}

/** What to do where the hub does not allow the stream. */
function ruleHint(error: unknown, rule: string): { readonly hint?: string } {
  if (!(error instanceof AuthError) || error.code !== "ERR_FORBIDDEN") return {};
  return { hint: `the hub must allow it: --allow '${rule}'` };
}

async function drain(tunnel: Forward, { wire }: HubLink, timeoutMs: number): Promise<number> {
  sayDraining(tunnel.connections, "connection");
  const startMs = performance.now();
  await tunnel.shutdown({ timeoutMs });
  await wire.close({ timeoutMs: Math.max(1, timeoutMs - (performance.now() - startMs)) });
  return 0;
}
