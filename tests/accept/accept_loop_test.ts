// Tests of the accept loop over a listener that fails on command: how long it waits, and that it goes on.
import { assert, assertEquals } from "@std/assert";
import { Admission } from "../../limits/admission.ts";
import type { Address, Incoming, Listener, Transport } from "../../net/transport/transport.ts";
import { acceptLoop } from "../../accept/accept_loop.ts";

const ADDRESS: Address = { transport: "memory", name: "scripted" };

/** One thing that a listener's `accept` does. */
type Step = "connection" | Error;

/** A listener that follows a script, then ends. */
function scripted(steps: readonly Step[]): Listener {
  const left = [...steps];
  const incoming: Incoming = {
    localAddr: ADDRESS,
    remoteAddr: ADDRESS,
    open: () => Promise.reject<Transport>(new Error("Not wanted")),
    refuse() {},
  };
  return {
    addr: ADDRESS,
    accept() {
      const step = left.shift();
      if (step instanceof Error) return Promise.reject(step);
      return Promise.resolve(step === undefined ? null : incoming);
    },
    close() {},
    ref() {},
    unref() {},
  };
}

/** Runs the loop without time passing; returns how long it waited after each fault, and what it reported. */
async function run(
  steps: readonly Step[],
): Promise<{ waits: number[]; faults: unknown[]; admitted: number }> {
  const waits: number[] = [];
  const faults: unknown[] = [];
  let admitted = 0;
  await acceptLoop(
    scripted(steps),
    new Admission<AbortController>(),
    {
      onAdmitted: () => void admitted++,
      onRefused() {},
      onReplaced() {},
      onFault: (error) => void faults.push(error),
    },
    new AbortController().signal,
    (ms) => {
      waits.push(ms);
      return Promise.resolve();
    },
  );
  return { waits, faults, admitted };
}

/** The fault of a process that has no descriptor left, so many times. */
function outOfDescriptors(count: number): Error[] {
  return Array.from(
    { length: count },
    () => Object.assign(new Error("Too many open files"), { code: "EMFILE" }),
  );
}

Deno.test("acceptLoop() waits twice as long after each fault in a row, and at most 500 ms", async () => {
  const errors = outOfDescriptors(9);
  const { waits, faults, admitted } = await run([...errors, "connection"]);
  assertEquals(waits, [5, 10, 20, 40, 80, 160, 320, 500, 500]);
  assertEquals(faults, errors);
  assertEquals(admitted, 1);
});

Deno.test("acceptLoop() starts over with short waits once a connection was accepted", async () => {
  const steps = [
    ...outOfDescriptors(6),
    "connection",
    ...outOfDescriptors(3),
    "connection",
  ] as const;
  const { waits, admitted } = await run(steps);
  assertEquals(waits.slice(6), [5, 10, 20]);
  assertEquals(admitted, 2);
});

Deno.test("acceptLoop() ends while it waits when its signal aborts", async () => {
  const controller = new AbortController();
  const ended = acceptLoop(scripted(outOfDescriptors(1000)), new Admission<AbortController>(), {
    onAdmitted() {},
    onRefused() {},
    onReplaced() {},
    onFault: () => controller.abort(),
  }, controller.signal);
  await ended;
  assert(controller.signal.aborted);
});
