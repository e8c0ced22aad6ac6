// The handlers of the tests' contract: what they do is reported as events.
import { CallError, type Handlers } from "@parley/parley/calls";
import type { table } from "./contract.ts";

/** Takes events. */
export type Report = (event: Record<string, unknown>) => void;

/** The handlers, and how many of them run. */
export interface TestHandlers {
  readonly handlers: Handlers<typeof table>;
  /** Handlers that have begun and not ended. */
  readonly running: () => number;
}

/** Makes handlers that report what happens to them. */
export function makeHandlers(report: Report): TestHandlers {
  let running = 0;
  const begin = (): Disposable => {
    running++;
    return { [Symbol.dispose]: () => void running-- };
  };
  const handlers: Handlers<typeof table> = {
    seen: (_, { peer, name, deadlineMs }) => ({
      peer: peer ?? null,
      name,
      leftMs: deadlineMs === Infinity ? null : deadlineMs - Date.now(),
    }),
    echo: (input) => input,
    nothing: () => {},
    nullable: (input) => input,
    add: ({ a, b }) => {
      if (a > 1000) throw new CallError("ERR_TOO_BIG", "That is too much", { max: 1000 });
      return a + b;
    },
    blob: (input) => input,
    fails: (secret) => {
      throw new Error(`a secret: ${secret}`);
    },
    lies: () => "no number" as unknown as number,
    async hangs(id, { signal }) {
      using _ = begin();
      if (id !== "") report({ hangs: id });
      const reason = await aborted(signal);
      if (id !== "") report({ aborted: id, code: codeOf(reason) });
      throw reason;
    },
    async waits({ id, ms }, { signal }) {
      using _ = begin();
      const fired = () => report({ fired: id });
      signal.addEventListener("abort", fired);
      report({ waits: id });
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
      report({ waited: id });
    },
    async *count({ id, to, ballast = 0, fails = false }) {
      using _ = begin();
      const text = ballast === 0 ? {} : { ballast: "x".repeat(ballast) };
      let n = 0;
      try {
        for (; to === null || n < to; n++) yield { n, ...text };
        if (fails) throw new CallError("ERR_DRY", "There is no more", { n });
      } finally {
        if (id !== "") report({ left: id, n });
      }
    },
    async *checked({ to }) {
      for (let n = 0; n < to; n++) yield n;
    },
    async *lying() {
      yield 1;
      yield "two" as unknown as number;
      yield 3;
    },
    async sum(numbers) {
      using _ = begin();
      let sum = 0;
      for await (const number of numbers) sum += number;
      return sum;
    },
    async firstOf(numbers) {
      using _ = begin();
      for await (const number of numbers) return number;
      throw new CallError("ERR_EMPTY", "There is no number");
    },
    async *shout(lines) {
      using _ = begin();
      for await (const line of lines) yield line.toUpperCase();
      yield "THE END";
    },
  };
  return { handlers, running: () => running };
}

/** Waits until a signal fires; returns its reason. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) return Promise.resolve(signal.reason);
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true })
  );
}

/** The code of an error of ours, the name of another. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
