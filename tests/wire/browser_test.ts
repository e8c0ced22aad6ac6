// A real browser loads a real page through forward, hub and expose.
import { assert, assertEquals } from "@std/assert";
import { expose, forward } from "@parley/parley/wire";
import { Browser, noBrowser } from "../support/programs/browser.ts";
import { until } from "../support/wait.ts";
import { hubbed } from "../support/peers/wires.ts";

const ASSETS = 200;

/** What the page has counted. */
const COUNT = 'document.getElementById("n").textContent';

/** A page with 200 scripts, each of which counts itself. */
class WebPage implements AsyncDisposable {
  readonly asked = new Set<string>();
  readonly #server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => {
      const { pathname } = new URL(request.url);
      this.asked.add(pathname);
      if (pathname === "/") return new Response(PAGE, { headers: { "content-type": "text/html" } });
      if (!pathname.startsWith("/asset")) return new Response(null, { status: 404 });
      const filler = `// ${"x".repeat(pathname.length * 500)}\n`;
      return new Response(`${filler}count();`, { headers: { "content-type": "text/javascript" } });
    },
  );

  get port(): number {
    return this.#server.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

const scripts = Array.from(
  { length: ASSETS },
  (_, index) => `<script src="/asset${index}.js"></script>`,
);
const PAGE = `<!doctype html><title>Tunnel</title><p id="n">0</p>
<script>function count() { const n = document.getElementById("n"); n.textContent = Number(n.textContent) + 1; }</script>
${scripts.join("\n")}`;

Deno.test({
  name:
    "forward shows a page with 200 assets to a browser, and again after the exposing side was lost" +
    noBrowser,
  ignore: noBrowser !== "",
  async fn() {
    await using test = await hubbed();
    await using page = new WebPage();
    await using browser = await Browser.start();
    const [home, office] = [await test.join("home"), await test.join("office")];
    expose(office, "web", { port: page.port });
    await using tunnel = await forward(home, "web", { to: "office" });
    assert(tunnel.addr.transport === "tcp");
    const url = `http://127.0.0.1:${tunnel.addr.port}/`;

    const view = await browser.open(url);
    assertEquals(await view.evaluate(COUNT), `${ASSETS}`, "not all assets were loaded");
    assertEquals([...page.asked].filter((path) => path.startsWith("/asset")).length, ASSETS);

    const before = office.session?.id;
    office.session?.abort();
    await until("the office is back", () => {
      const session = test.server.session("office");
      return session !== undefined && session.id !== before;
    });
    page.asked.clear();
    await view.go(url);
    assertEquals(await view.evaluate(COUNT), `${ASSETS}`, "not all assets were loaded again");
    assertEquals([...page.asked].filter((path) => path.startsWith("/asset")).length, ASSETS);
    await tunnel.abort(); // a browser keeps its connections
  },
});
