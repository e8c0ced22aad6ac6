// The part of the page's script that listens to the events and keeps everything up to date.

/** Connects, shows what comes, tells when nothing comes any more. */
export const LIVE_SCRIPT: string = String.raw`
const RETRY_MS = 5000;
const place = (id) => document.getElementById(id);
let sources = null;
let sourceNames = null;
let processView = null;

function showProcess(report) {
  const section = place("process");
  if (processView === null) {
    section.hidden = false;
    const series = [{ key: "eventLoopDelayMs", label: "longest in a sample", className: "late" }];
    const memory = [{ key: "residentBytes", label: "resident", className: "in" }];
    const parent = section.querySelector(".plots");
    processView = {
      tiles: new Tiles(section.querySelector(".tiles")),
      history: [],
      plots: [
        new Plot(parent, { name: "Event-loop delay", format: duration, floor: 10, series }),
        new Plot(parent, { name: "Memory", format: bytes, floor: 1e6, series: memory }),
      ],
    };
  }
  const { tiles } = processView;
  const facts = "pid " + report.process.pid + " · Deno " + report.process.deno;
  setText(section.querySelector(".where"), facts);
  tiles.set("Watched for", duration(report.process.uptimeMs));
  tiles.set("Memory", bytes(report.process.residentBytes));
  tiles.set("Event-loop delay", duration(report.process.eventLoopDelayMs));
  processView.history = merge(processView.history, report.process.history);
  for (const plot of processView.plots) plot.update(processView.history);
}

function makeSources(report) {
  const parent = place("sources");
  parent.replaceChildren();
  sources = report.sources.map((source, index) => new Source(parent, source, index));
  const nav = place("sources-nav");
  nav.hidden = report.sources.length < 2;
  nav.querySelector("ul").replaceChildren(...report.sources.map((source, index) => {
    const item = make("li");
    const link = make("a", "", shown(source.name));
    link.href = "#source-" + index;
    item.append(link);
    return item;
  }));
}

function show(report) {
  const names = report.sources.map(({ kind, name }) => kind + " " + name).join("\n");
  if (names !== sourceNames) makeSources(report);
  sourceNames = names;
  setText(place("title"), shown(report.title));
  const lamp = place("ready");
  setText(lamp, report.ready ? "Ready" : "Not ready");
  lamp.dataset.state = report.ready ? "good" : "warn";
  document.title = (report.ready ? "" : "Not ready · ") + shown(report.title) + " · statistics";
  const delays = new Map(report.process.history.map(({ atMs, eventLoopDelayMs }) => [atMs, eventLoopDelayMs]));
  report.sources.forEach((source, index) => sources[index].update(source, delays));
  showProcess(report);
  const busy = report.sources.filter(({ ready }) => !ready);
  const news = busy.map(({ name, state }) => shown(name) + " is " + state).join(", ");
  setLive("live", news === "" ? "Live" : "Live: " + news);
}

function setLive(state, text) {
  place("live").dataset.state = state;
  setText(place("live"), text);
}

function listen() {
  const events = new EventSource("events");
  events.addEventListener("report", (event) => show(JSON.parse(event.data)));
  events.addEventListener("sample", (event) => show(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    setLive("lost", "No answer any more: trying again");
    // A refusal ends the source of events for good; a lost connection does not.
    if (events.readyState !== EventSource.CLOSED) return;
    events.close();
    setTimeout(listen, RETRY_MS);
  });
}

listen();
`;
