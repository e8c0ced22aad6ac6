// A real browser for tests: headless Chromium, driven over its DevTools protocol.
import { TempDir } from "./temp_dir.ts";
import { settles } from "../wait.ts";

/** What a test that needs the browser adds to its name where there is none; `""` where there is one. */
export const noBrowser: string = await new Deno.Command("chromium", {
  args: ["--version"],
  stdin: "null",
})
  .output().then(
    ({ success }) => success ? "" : " (ignored: chromium does not run)",
    () => " (ignored: chromium is missing)",
  );

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  "--hide-scrollbars",
  "--remote-debugging-port=0",
];

/** Longest time for the browser to start, or to answer, on a busy machine. */
const PATIENCE_MS = 30_000;

type Params = Record<string, unknown>;

/** What the browser says: an answer, or an event. */
interface Message {
  readonly id?: number | undefined;
  readonly sessionId?: string | undefined;
  readonly method?: string | undefined;
  readonly params?: Params | undefined;
  readonly result?: Params | undefined;
  readonly error?: { readonly message: string } | undefined;
}

/** A running browser. Disposing it ends it. */
export class Browser implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #profile: TempDir;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Params>>();
  readonly #pages = new Map<string, BrowserPage>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #stderr: Promise<void>;
  #lastId = 0;

  private constructor(
    child: Deno.ChildProcess,
    parts: { profile: TempDir; socket: WebSocket; stderr: Promise<void> },
  ) {
    this.#child = child;
    this.#profile = parts.profile;
    this.#stderr = parts.stderr;
    const socket = this.#socket = parts.socket;
    socket.onmessage = ({ data }) => this.#onMessage(JSON.parse(data));
    socket.onclose = () => this.#closed.resolve();
  }

  /** Starts it, and waits until it can be talked to. */
  static async start(): Promise<Browser> {
    const profile = new TempDir();
    const child = new Deno.Command("chromium", {
      args: [...FLAGS, `--user-data-dir=${profile.path}`, "about:blank"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const address = Promise.withResolvers<string>();
    const stderr = (async () => {
      let text = "";
      for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
        text = (text + chunk).slice(-10_000);
        const [, url] = /DevTools listening on (ws:\S+)\s/.exec(text) ?? [];
        if (url !== undefined) address.resolve(url);
      }
      address.reject(new Error(`Chromium ended:\n${text}`));
    })();
    address.promise.catch(() => {});
    const socket = new WebSocket(await settles("chromium listens", address.promise, PATIENCE_MS));
    const opened = Promise.withResolvers<void>();
    socket.onopen = () => opened.resolve();
    await settles("chromium answers", opened.promise, PATIENCE_MS);
    return new Browser(child, { profile, socket, stderr });
  }

  /** Opens a page of its own for an address, and waits until it is loaded. */
  async open(url: string, size: PageSize = DESKTOP): Promise<BrowserPage> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new BrowserPage(this, sessionId as string, targetId as string);
    this.#pages.set(sessionId as string, page);
    for (const domain of ["Page", "Runtime", "Network", "Log", "Accessibility"]) {
      await page.send(`${domain}.enable`);
    }
    await page.resize(size);
    await page.go(url);
    return page;
  }

  /** Sends a command. */
  send(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<Params>();
    this.#waiting.set(id, answer);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return settles(method, answer.promise, PATIENCE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.send(JSON.stringify({ id: ++this.#lastId, method: "Browser.close" }));
    try {
      await settles("chromium ends", this.#child.status, PATIENCE_MS);
    } catch {
      this.#child.kill("SIGKILL");
      await this.#child.status;
    }
    await this.#closed.promise;
    await this.#stderr;
    await this.#profile[Symbol.asyncDispose]();
  }

  #onMessage({ id, sessionId, method, params = {}, result = {}, error }: Message): void {
    if (id === undefined) {
      if (sessionId !== undefined && method !== undefined) {
        this.#pages.get(sessionId)?.onEvent(method, params);
      }
      return;
    }
    const answer = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) answer?.resolve(result);
    else answer?.reject(new Error(error.message));
  }
}

/** Size of a page, in CSS pixels. */
export interface PageSize {
  readonly width: number;
  readonly height: number;
}

/** A screen on a desk. */
export const DESKTOP: PageSize = { width: 1280, height: 900 };

/** A small phone. */
export const PHONE: PageSize = { width: 360, height: 740 };

/** A node of the accessibility tree, as a reader of the screen sees it. */
export interface AccessibleNode {
  readonly role: string;
  readonly name: string;
}

/** An open page. */
export class BrowserPage {
  /** Addresses that it asked for. */
  readonly requests: string[] = [];
  /** What its console complained of: errors, exceptions, refusals of its security policy. */
  readonly complaints: string[] = [];
  readonly #browser: Browser;
  readonly #sessionId: string;
  readonly #targetId: string;
  #loaded: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(browser: Browser, sessionId: string, targetId: string) {
    this.#browser = browser;
    this.#sessionId = sessionId;
    this.#targetId = targetId;
  }

  /** Sends a command about this page. */
  send(method: string, params: Params = {}): Promise<Params> {
    return this.#browser.send(method, params, this.#sessionId);
  }

  /** Loads an address, with all that belongs to it. */
  async go(url: string): Promise<void> {
    this.#loaded = Promise.withResolvers();
    await this.send("Page.navigate", { url });
    await settles(`${url} is loaded`, this.#loaded.promise, PATIENCE_MS);
  }

  /** Returns the value of an expression, in the page. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    }) as { result: { value: Value }; exceptionDetails?: unknown };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  /** Waits until an expression is true in the page. */
  async until(expression: string, timeoutMs: number = PATIENCE_MS): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (await this.evaluate(`Boolean(${expression})`) !== true) {
      if (performance.now() > end) {
        const text = await this.evaluate<string>("document.body.innerText");
        throw new Error(`Never true in the page: ${expression}\n${text}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Makes it another size. */
  async resize({ width, height }: PageSize): Promise<void> {
    const mobile = width < 500;
    await this.send("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile,
    });
  }

  /** Light or dark, as the system's setting would. */
  async prefer(scheme: "light" | "dark"): Promise<void> {
    await this.send("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
  }

  /** Presses a key, such as `Tab`. */
  async press(key: string, code: number): Promise<void> {
    const params = { key, code: key, windowsVirtualKeyCode: code };
    await this.send("Input.dispatchKeyEvent", { type: "rawKeyDown", ...params });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...params });
  }

  /** All of it as a PNG. */
  async screenshot(): Promise<Uint8Array> {
    const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: true });
    return Uint8Array.fromBase64(data as string);
  }

  /** What a reader of the screen finds. */
  async accessible(): Promise<AccessibleNode[]> {
    const { nodes } = await this.send("Accessibility.getFullAXTree") as {
      nodes: {
        ignored: boolean;
        role?: { value: string } | undefined;
        name?: { value: string } | undefined;
      }[];
    };
    return nodes.filter(({ ignored }) => !ignored).map(({ role, name }) => ({
      role: role?.value ?? "",
      name: name?.value ?? "",
    }));
  }

  /** Closes it. */
  async close(): Promise<void> {
    await this.#browser.send("Target.closeTarget", { targetId: this.#targetId });
  }

  /** Takes events of the browser. */
  onEvent(method: string, params: Params): void {
    switch (method) {
      case "Page.loadEventFired":
        return this.#loaded.resolve();
      case "Network.requestWillBeSent":
        return void this.requests.push((params["request"] as { url: string }).url);
      case "Runtime.exceptionThrown":
        return void this.complaints.push(JSON.stringify(params["exceptionDetails"]));
      case "Runtime.consoleAPICalled":
        if (params["type"] === "error" || params["type"] === "warning") {
          this.complaints.push(JSON.stringify(params["args"]));
        }
        return;
      case "Log.entryAdded": {
        const { level, text, url } = params["entry"] as {
          level: string;
          text: string;
          url?: string | undefined;
        };
        if (level === "error" || level === "warning") this.complaints.push(`${text} ${url ?? ""}`);
        return;
      }
    }
  }
}
