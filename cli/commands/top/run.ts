// runTop(): reads statistics again and again, and shows them: live, as text, or as lines of JSON.
import { pause } from "../../../async/pause.ts";
import type { Arguments } from "../../command/arguments.ts";
import { StopSignals } from "../../process/stop.ts";
import { print, say } from "../../output/talk.ts";
import { Keys } from "./keys.ts";
import { withRates } from "./report.ts";
import { Screen } from "./screen.ts";
import { readStats, type StatsAnswer, statsUrl } from "./source.ts";
import {
  mostScrolled,
  SORT_KEYS,
  type SortOrder,
  type TopModel,
  topText,
  topView,
} from "./view.ts";
import { jsonText } from "../../output/json_text.ts";

/** Runs `parley top`; returns the exit code. */
export async function runTop(args: Arguments): Promise<number> {
  const url = statsUrl(args.operand("The address of a statistics page"));
  const order = args.choice("sort", Object.values(SORT_KEYS), "rate");
  const intervalMs = args.ms("interval", { byDefault: 1000, least: 100, most: 3600_000 });
  const json = args.has("json");
  const once = args.has("once") || (!json && !Deno.stdout.isTerminal());
  using stop = new StopSignals();
  const options = { url, order, intervalMs, signal: stop.signal };
  if (once) return await showOnce(options, json);
  if (json) return await showLines(options);
  return await new Top(options).run();
}

interface TopOptions {
  readonly url: URL;
  readonly order: SortOrder;
  readonly intervalMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

async function showOnce({ url, order, signal }: TopOptions, json: boolean): Promise<number> {
  const { raw, report } = await readStats(url, signal);
  if (json) print(jsonText(raw));
  else print(topText({ ...START, url: url.href, order, report }));
  return 0;
}

/** A line for each look, until it is interrupted. */
async function showLines(options: TopOptions): Promise<number> {
  let away = false;
  for await (const answer of answers(options)) {
    if (!("trouble" in answer)) print(jsonText(answer.raw));
    else if (!away) say(`parley top: ${answer.trouble}; trying again`);
    away = "trouble" in answer;
  }
  return 0;
}

/** The result of a look: an answer, or why there is none. */
type Look = StatsAnswer | { readonly trouble: string };

/** Looks every so often until the signal aborts. A server that is away may come back. */
async function* answers({ url, intervalMs, signal }: TopOptions): AsyncGenerator<Look, void> {
  while (!signal.aborted) {
    const nextMs = performance.now() + intervalMs;
    try {
      yield await readStats(url, signal);
    } catch (error) {
      if (signal.aborted) return;
      yield { trouble: error instanceof Error ? error.message : String(error) };
    }
    await pause(Math.max(0, nextMs - performance.now()), signal);
  }
}

const START: Omit<TopModel, "url" | "order"> = {
  report: null,
  before: null,
  trouble: null,
  scrolled: 0,
  paused: false,
};

/** The live view. */
class Top {
  readonly #options: TopOptions;
  readonly #quit = new AbortController();
  #model: TopModel;
  #screen: Screen | null = null;

  constructor(options: TopOptions) {
    this.#options = options;
    this.#model = { ...START, url: options.url.href, order: options.order };
  }

  async run(): Promise<number> {
    const signal = AbortSignal.any([this.#options.signal, this.#quit.signal]);
    using screen = new Screen();
    this.#screen = screen;
    const windows = Deno.build.os === "windows";
    if (!windows) Deno.addSignalListener("SIGWINCH", this.#draw);
    using _keys = new Keys((key) => this.#onKey(key));
    try {
      this.#draw();
      for await (const look of answers({ ...this.#options, signal })) this.#onLook(look);
      return 0;
    } finally {
      if (!windows) Deno.removeSignalListener("SIGWINCH", this.#draw);
    }
  }

  #onLook(look: Look): void {
    const { report: before, paused } = this.#model;
    if (paused) return;
    if ("trouble" in look) return this.#update({ trouble: look.trouble });
    const report = before === null ? look.report : withRates(look.report, before);
    this.#update({ report, before, trouble: null });
  }

  #onKey(key: string): void {
    const { paused, scrolled, report } = this.#model;
    const scroll = (rows: number) =>
      this.#update({ scrolled: Math.max(0, Math.min(mostScrolled(report), scrolled + rows)) });
    const order = Object.hasOwn(SORT_KEYS, key)
      ? SORT_KEYS[key as keyof typeof SORT_KEYS]
      : undefined;
    if (order !== undefined) return this.#update({ order, scrolled: 0 });
    switch (key) {
      case "q":
      case "ctrl-c":
        return this.#quit.abort();
      case "p":
        return this.#update({ paused: !paused });
      case "up":
        return scroll(-1);
      case "down":
        return scroll(1);
      case "page-up":
        return scroll(-10);
      case "page-down":
        return scroll(10);
    }
  }

  #update(change: Partial<TopModel>): void {
    this.#model = { ...this.#model, ...change };
    this.#draw();
  }

  readonly #draw = (): void => {
    if (this.#screen !== null) this.#screen.draw(topView(this.#model, this.#screen.size));
  };
}
