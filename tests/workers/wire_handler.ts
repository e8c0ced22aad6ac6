// A module of mountWorkers(): typed calls that say which worker answers, and do what some ask.
import type { MountedWire, MountModuleOptions } from "@parley/parley/wire";
import type { WorkerStart } from "@parley/parley";
import { answer, call, contract } from "@parley/parley/calls";
import process from "node:process";

export const options: MountModuleOptions = {
  authorize: ({ token }) => token.startsWith("good"),
};

export const deeds = contract({
  who: call<void, { worker: number; input: unknown }>(),
  sessions: call<void, readonly string[]>(),
  die: call<void, void>(),
});

export default function (wire: MountedWire, { worker, input }: WorkerStart): void {
  answer(wire, deeds, {
    who: () => ({ worker, input }),
    sessions: () => wire.sessions.map(({ identity }) => identity),
    die: () => {
      setTimeout(() => process.exit(7));
    },
  });
  wire.handle("hang", () => new Promise(() => {}));
  wire.handle("echo", async (stream) => await stream.readable.pipeTo(stream.writable));
}
