// parley expose: lets others reach local ports or sockets through a hub.
import { expose } from "../../wire/mod.ts";
import { ADDRESS_FORMS, addressText, parseAddress, type TypedAddress } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import { asTyped, UsageError } from "../command/usage.ts";
import type { Command } from "../command/command.ts";
import { HUB_LINK_FLAGS, joinHub } from "./hub_link.ts";
import { severalServices } from "./services.ts";
import { goOn, StopSignals } from "../process/stop.ts";
import { say } from "../output/talk.ts";

/** `parley expose` */
export const exposeCommand: Command = {
  name: "expose",
  summary: "Let others reach local ports through a hub",
  about:
    `Joins the hub at HUB and lets others reach TARGET by NAME, if the hub allows them to: the rule is
    FROM:IDENTITY:tcp:NAME. TARGET is ${ADDRESS_FORMS}; callers cannot choose another. This machine needs no port that is
    open to the outside. NAME=TARGET exposes several at once: two processes of one IDENTITY would end each other.

    The command connects to TARGET for each connection. Where that fails, the caller gets the error at once; a
    connection that breaks on the way is reset at both ends.

    Joins again by itself when the hub is lost, and ends with 1 when it refuses the token. Ends in order on SIGINT and
    SIGTERM: open connections end first.`,
  operands: "HUB NAME TARGET | HUB NAME=TARGET...",
  flags: [
    ...HUB_LINK_FLAGS,
    { name: "timeout", value: "TIME", about: "Longest time to connect to TARGET (default: 5s)" },
  ],
  examples: [
    "parley expose hub.example:7000 web 8080 --identity office --tls --token-file t",
    "parley expose 7000 db unix:/run/db.sock --identity office",
    "parley expose 7000 web=8080 api=8081 ssh=22 --identity office",
  ],
  run: runExpose,
};

async function runExpose(args: Arguments): Promise<number> {
  const { hub, services } = readOperands(args);
  const timeoutMs = args.ms("timeout", { byDefault: 5000, least: 1, most: 600e3 });
  using stop = new StopSignals({ onHangUp: goOn });
  const { wire, logger, lines, drainTimeoutMs, failed } = await joinHub(args, hub);
  using _lines = lines;
  try {
    for (const { name, target } of services) {
      asTyped(() => expose(wire, name, { ...target, timeoutMs }));
      logger.info("Exposing", { name, target: addressText(target) });
    }
    await Promise.race([failed, stop.stopped]);
  } catch (error) {
    wire.abort();
    throw error;
  }
  say("closing; press Ctrl-C again to end at once");
  await wire.close({ timeoutMs: drainTimeoutMs });
  return 0;
}

/** The hub, and what is exposed there. */
function readOperands(
  args: Arguments,
): {
  readonly hub: string;
  readonly services: readonly { readonly name: string; readonly target: TypedAddress }[];
} {
  const [hub = "", ...rest] = args.operands;
  const several = severalServices(rest);
  if (several !== null) {
    return {
      hub,
      services: several.map(({ name, address }) => ({ name, target: readTarget(address) })),
    };
  }
  const [, name, address] = args.someOperands("HUB", "NAME", "TARGET");
  return { hub, services: [{ name, target: readTarget(address) }] };
}

function readTarget(typed: string): TypedAddress {
  const target = parseAddress(typed);
  if ("port" in target && target.port === 0) throw new UsageError("The port of TARGET cannot be 0");
  return target;
}
