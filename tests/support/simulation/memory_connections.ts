// Connections over memory, and what tests of them need again and again.
import { setImmediate } from "node:timers";
import { Connection, type ConnectionSetup } from "../../../connection.ts";
import { memoryPair, type MemoryPairOptions } from "../../../net/transport/memory_pair.ts";
import { ManualSweeper } from "./memory_sweeper.ts";
import { ScriptedTransport } from "./memory_scripted.ts";

/** Two connections to each other. */
export function connectedPair(
  setup: ConnectionSetup<unknown> = {},
  farSetup: ConnectionSetup<unknown> = setup,
  pipe?: MemoryPairOptions,
): [Connection, Connection] {
  const [near, far] = memoryPair(pipe);
  return [
    new Connection(near, { sweeper: new ManualSweeper(), ...setup }),
    new Connection(far, { sweeper: new ManualSweeper(), ...farSetup }),
  ];
}

/** A connection whose peer is the test. */
export function scriptedConnection(
  setup: ConnectionSetup<unknown> = {},
): { connection: Connection; transport: ScriptedTransport; sweeper: ManualSweeper } {
  const transport = new ScriptedTransport();
  const sweeper = new ManualSweeper();
  return { connection: new Connection(transport, { sweeper, ...setup }), transport, sweeper };
}

/** Closes connections in order, together, so that none waits for another. */
export async function closeAll(...connections: Connection[]): Promise<void> {
  await Promise.all(connections.map((connection) => connection.close()));
}

/** Lets everything run that is ready to run: `turns` turns of the event loop. */
export async function settle(turns = 3): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Whether a promise is settled by now. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const mark = () => settled = true;
  promise.then(mark, mark);
  await settle();
  return settled;
}

/** All messages to the end. */
export async function receiveAll(connection: Connection): Promise<Uint8Array[]> {
  return await Array.fromAsync(connection);
}
