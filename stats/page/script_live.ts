// The part of the page's script that listens to the events and keeps everything up to date.

/** Connects, shows what comes, dims the page when nothing comes any more. */
export const LIVE_SCRIPT: string = String.raw`
const RETRY_MS = 5000;
/** Intervals without an event after which the server counts as gone, although no error was heard. */
const LOST_INTERVALS = 5;
const MIN_LOST_MS = 10000;
const place = (id) => document.getElementById(id);
let last = null;
let sources = [];
let sourceNames = null;
let processView = null;
let overview = null;
let takenAtMs = 0;
/** Live samples, of the process and of each source by its name. */
let processSamples = [];
const samplesOf = new Map();
let watchdog;

function makeProcess() {
  const section = place("process");
  section.hidden = false;
  const parent = section.querySelector(".plots");
  const late = [{ key: "eventLoopDelayMs", label: "longest", colour: "late" }];
  const memory = [{ key: "residentBytes", label: "resident", colour: "in" }];
  return {
    tiles: new Tiles(section.querySelector(".tiles")),
    plots: [
      new Plot(parent, { name: "Event-loop delay", format: duration, floor: 10, series: late }),
      new Plot(parent, { name: "Memory", format: bytes, floor: 1e6, series: memory }),
    ],
  };
}

function showProcess(report, range) {
  processView ??= makeProcess();
  const { tiles, plots } = processView;
  const facts = "pid " + report.process.pid + " · Deno " + report.process.deno;
  setText(place("process").querySelector(".where"), facts);
  tiles.set("Watched for", duration(report.process.uptimeMs));
  tiles.set("Memory", bytes(report.process.residentBytes));
  tiles.set("Event-loop delay", duration(report.process.eventLoopDelayMs));
  const samples = withHistory(processSamples, history?.process);
  for (const plot of plots) plot.update(samples, range);
}

function makeSources(report) {
  const parent = place("sources");
  for (const source of sources) source.close();
  parent.replaceChildren();
  sources = report.sources.map((source, index) => new Source(parent, source, index));
  place("overview").hidden = report.sources.length < 2;
}

/** Whether it is the same list of sources, which show the same parts. */
const shapeOf = (report) => report.sources.map(({ kind, name, requests }) => kind + " " + name + " " + (requests !== null)).join("\n");

function takeSamples(report) {
  processSamples = merge(processSamples, report.process.history);
  for (const { name, history } of report.sources) samplesOf.set(name, merge(samplesOf.get(name) ?? [], history));
}

function show(report) {
  last = report;
  takenAtMs = report.takenAtMs;
  document.body.dataset.gone = "no";
  if (shapeOf(report) !== sourceNames) makeSources(report);
  sourceNames = shapeOf(report);
  setText(place("title"), shown(report.title));
  const lamp = place("ready");
  setText(lamp, report.ready ? "Ready" : "Not ready");
  lamp.dataset.state = report.ready ? "good" : "warn";
  document.title = (report.ready ? "" : "Not ready · ") + shown(report.title) + " · statistics";
  takeSamples(report);
  const range = rangeNow();
  report.sources.forEach((source, index) => {
    sources[index].update(source, withHistory(samplesOf.get(source.name), history?.sources.get(source.name)), range);
  });
  overview ??= new Table(place("overview"), OVERVIEW_COLUMNS);
  overview.update(report.sources.map((source, index) => ({ ...source, index })));
  showProcess(report, range);
  const busy = report.sources.filter(({ ready }) => !ready);
  const news = busy.map(({ name, state }) => shown(name) + " is " + state).join(", ");
  setLive("live", news === "" ? "Live" : "Live: " + news);
  void refreshHistory();
}

function setLive(state, text) {
  place("live").dataset.state = state;
  setText(place("live"), text);
}

/** The server does not answer: what is on the page is of the past, and looks so. */
function lose() {
  document.body.dataset.gone = "yes";
  const since = last === null ? "" : " since " + clockTime(last.takenAtMs, true);
  setLive("lost", "No answer" + since + ": trying again");
}

function listen() {
  const events = new EventSource("events");
  const again = () => {
    clearTimeout(watchdog);
    events.close();
    setTimeout(listen, RETRY_MS);
  };
  const take = (event) => {
    const report = JSON.parse(event.data);
    clearTimeout(watchdog);
    // A connection whose other side has vanished reports no error: its silence must do.
    watchdog = setTimeout(() => (lose(), again()), Math.max(MIN_LOST_MS, LOST_INTERVALS * report.intervalMs));
    show(report);
  };
  events.addEventListener("report", take);
  events.addEventListener("sample", take);
  events.addEventListener("error", () => {
    lose();
    // A refusal ends the source of events for good; a lost connection does not.
    if (events.readyState === EventSource.CLOSED) again();
  });
}

listen();
`;
