// The part of the page's script that shows one source.

/** Class `Source`: the section of a server, a client, a wire, a channel or a pool. */
export const SOURCE_SCRIPT: string = String.raw`
const sum = (record) => Object.values(record).reduce((total, count) => total + count, 0);

/** What the links of each kind are called. */
const LINKS = {
  server: ["connection", "connections"],
  client: ["connection", "connections"],
  wire: ["session", "sessions"],
  ipc: ["connection", "connections"],
  pool: ["backend", "backends"],
};

const IN_OUT = [
  { key: "bytesIn", label: "in", className: "in" },
  { key: "bytesOut", label: "out", className: "out" },
];
const MESSAGES = [
  { key: "messagesIn", label: "in", className: "in" },
  { key: "messagesOut", label: "out", className: "out" },
];

class Source {
  constructor(parent, report, index) {
    const fragment = document.getElementById("source").content.cloneNode(true);
    this.section = fragment.querySelector("section");
    this.kind = report.kind;
    this.section.id = "source-" + index;
    const heading = this.section.querySelector("h2");
    heading.id = "source-name-" + index;
    heading.textContent = shown(report.name);
    this.section.setAttribute("aria-labelledby", heading.id);
    this.tiles = new Tiles(this.section.querySelector(".tiles"));
    this.history = [];
    parent.append(fragment);
    this.makePlots();
    this.makeTables();
  }

  makePlots() {
    const parent = this.section.querySelector(".plots");
    const unit = this.kind === "wire" ? "Frames" : "Messages";
    const floor = 10;
    this.plots = [
      new Plot(parent, { name: "Throughput", format: bytesPerSecond, floor: 1000, series: IN_OUT }),
      new Plot(parent, { name: unit, format: perSecond, floor, series: MESSAGES }),
    ];
    const latency = [{ key: "eventLoopDelayMs", label: "event loop", className: "late" }];
    if (this.kind === "wire") latency.push({ key: "rttMaxMs", label: "ping", className: "in" });
    if (this.kind === "server" || this.kind === "wire") {
      latency.push({ key: "handshakeP95Ms", label: "handshake", className: "out" });
    }
    this.plots.push(new Plot(parent, { name: "Latency", format: duration, floor: 1, series: latency }));
  }

  makeTables() {
    const block = (name) => this.section.querySelector("." + name);
    const byteCell = (name, key) => ({ name, of: (row) => inWords(bytes(row[key])) });
    const columns = [{ name: "Address", text: true, of: ({ address }) => shown(address || "–") }];
    const { kind } = this;
    if (kind === "wire") columns.unshift({ name: "Who", text: true, of: ({ peer }) => shown(peer) });
    columns.push({ name: "State", text: true, of: ({ state }) => state });
    if (kind !== "pool") columns.push({ name: "Age", of: ({ ageMs }) => inWords(duration(ageMs)) });
    columns.push(byteCell("Received", "bytesIn"), byteCell("Sent", "bytesOut"));
    if (kind === "wire") columns.push({ name: "Streams", of: ({ streams }) => String(streams) });
    if (kind === "pool") columns.push({ name: "Connections", of: ({ streams }) => String(streams) });
    if (kind !== "pool") columns.push(byteCell("Queued", "queuedBytes"));
    if (kind === "wire") columns.push({ name: "Round trip", of: ({ rttMs }) => inWords(duration(rttMs)) });
    this.links = new Table(block("links"), columns);
    block("links").querySelector(".empty").textContent = "No " + LINKS[kind][1] + " now.";
    this.faults = new Table(block("faults"), [
      { name: "What", text: true, of: ([name]) => words(name) },
      { name: "Count", of: ([, count]) => whole(count)[0] },
    ]);
    const unit = kind === "wire" ? "Frames" : "Messages";
    this.days = new Table(block("days"), [
      { name: "Day", text: true, of: ({ day }) => day },
      { name: "Opened", of: ({ counters }) => whole(counters.connectionsOpened)[0] },
      { name: unit + " in", of: ({ counters }) => whole(counters.messagesIn ?? counters.framesIn)[0] },
      { name: unit + " out", of: ({ counters }) => whole(counters.messagesOut ?? counters.framesOut)[0] },
      { name: "Received", of: ({ counters }) => inWords(bytes(counters.bytesIn)) },
      { name: "Sent", of: ({ counters }) => inWords(bytes(counters.bytesOut)) },
    ]);
  }

  /** delays: event-loop delay of the process, by the moment of the sample. */
  update(report, delays) {
    const lamp = this.section.querySelector(".lamp");
    setText(lamp, report.state);
    lamp.dataset.state = mood(report.state);
    const what = report.role === null ? report.kind : report.kind + " " + report.role;
    const time = report.onlineMs === null ? null : "up " + inWords(duration(report.onlineMs));
    const facts = [what, report.address === null ? null : shown(report.address), time];
    setText(this.section.querySelector(".where"), facts.filter((fact) => fact !== null).join(" · "));
    this.updateTiles(report);
    const samples = report.history.map((sample) => {
      return { ...sample, eventLoopDelayMs: delays.get(sample.atMs) ?? null };
    });
    this.history = merge(this.history, samples);
    for (const plot of this.plots) plot.update(this.history);
    this.updateTables(report);
  }

  updateTiles(report) {
    const { tiles } = this;
    const { rates, overall } = report;
    const links = words(LINKS[this.kind][1]);
    tiles.set(links, whole(report.linksNow));
    tiles.set("In", bytesPerSecond(rates.bytesIn));
    tiles.set("Out", bytesPerSecond(rates.bytesOut));
    tiles.set(this.kind === "wire" ? "Frames in" : "Messages in", perSecond(rates.messagesIn));
    tiles.set(this.kind === "wire" ? "Frames out" : "Messages out", perSecond(rates.messagesOut));
    if (this.kind === "wire") {
      tiles.set("Streams", whole(report.links.reduce((total, { streams }) => total + streams, 0)));
      if (report.role === "hub") tiles.set("Relayed", whole(overall.streamsRelayed));
    }
    if (this.kind !== "pool") tiles.set("Queued", bytes(report.queuedBytes));
    if (this.kind === "server") tiles.set("Handshaking", whole(report.pendingNow));
    const errors = sum(report.errors);
    tiles.set("Errors", whole(errors), errors > 0 ? "bad" : "");
    tiles.set("Refused", whole(sum(report.refusals)));
  }

  updateTables(report) {
    const [one, many] = LINKS[this.kind];
    const now = report.linksNow.toLocaleString("en-GB") + " " + (report.linksNow === 1 ? one : many);
    const all = report.links.length === report.linksNow;
    this.links.setCaption(all ? words(many) : now + ", the " + report.links.length + " with the most bytes");
    this.links.update(report.links);
    this.faults.update([...Object.entries(report.errors), ...Object.entries(report.refusals)]);
    this.days.update([...report.days].reverse());
  }
}

/** Samples of before and of now, each moment once, as many as the plots show. */
function merge(before, now) {
  const lastMs = before.length === 0 ? -Infinity : before[before.length - 1].atMs;
  return [...before, ...now.filter(({ atMs }) => atMs > lastMs)].slice(-300);
}
`;
