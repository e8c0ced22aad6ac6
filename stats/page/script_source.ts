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

const inAndOut = (name) => [
  { key: name + "In", label: "in", colour: "in" },
  { key: name + "Out", label: "out", colour: "out", below: true },
];
const REQUESTS = [
  { key: "requestP50Ms", label: "half", colour: "in", peak: false, line: true },
  { key: "requestP95Ms", label: "95 %", colour: "out", peak: false, line: true, dash: [6, 4] },
  { key: "requestP99Ms", label: "99 %", colour: "late", line: true },
];

class Source {
  constructor(parent, report, index) {
    const fragment = document.getElementById("source").content.cloneNode(true);
    this.section = fragment.querySelector("section");
    this.kind = report.kind;
    this.isHub = report.role === "hub";
    this.answers = report.requests !== null;
    this.section.id = "source-" + index;
    const heading = this.section.querySelector("h2");
    heading.id = "source-name-" + index;
    heading.textContent = shown(report.name);
    this.section.setAttribute("aria-labelledby", heading.id);
    this.tiles = new Tiles(this.section.querySelector(".tiles"));
    parent.append(fragment);
    this.makePlots();
    this.makeTables();
  }

  makePlots() {
    const { kind } = this;
    const isWire = kind === "wire";
    const plot = (name, format, floor, series) => new Plot(this.section.querySelector(".plots"), { name, format, floor, series });
    this.plots = [
      plot("Throughput", bytesPerSecond, 1000, inAndOut("bytes")),
      plot(isWire ? "Frames" : "Messages", perSecond, 10, inAndOut("messages")),
    ];
    if (this.answers) this.plots.push(plot("Request latency", duration, 1, REQUESTS));
    if (isWire) this.plots.push(plot("Ping", duration, 1, [{ key: "rttMaxMs", label: "longest", colour: "in" }]));
    this.plots.push(plot(words(LINKS[kind][1]), whole, 4, [{ key: "links", label: "now", colour: "in" }]));
    this.plots.push(plot("Errors and refusals", perSecond, 1, [{ key: "failed", label: "a second", colour: "bad" }]));
    if (kind === "server" || isWire) {
      this.plots.push(plot("Handshake", duration, 1, [{ key: "handshakeP95Ms", label: "95 %", colour: "out" }]));
    }
  }

  makeTables() {
    const block = (name) => this.section.querySelector("." + name);
    this.links = new Table(block("links"), linkColumns(this.kind), { sort: [this.kind === "wire" ? 4 : 3, "descending"] });
    block("links").querySelector(".empty").textContent = "No " + LINKS[this.kind][1] + " now.";
    this.recent = new Table(block("recent"), ERROR_COLUMNS);
    this.faults = new Table(block("faults"), [
      { name: "What", text: true, of: ([name]) => words(name) },
      { name: "Count", of: ([, count]) => whole(count)[0] },
    ]);
    this.days = new Table(block("days"), dayColumns(this.kind));
    this.requests = new Table(block("requests"), [
      { name: "Within", of: ({ within }) => within },
      { name: "Requests", of: ({ count }) => whole(count)[0] },
      { name: "Share", of: ({ share }) => (100 * share).toFixed(1) + " %" },
      { name: "Spread", of: () => "", bar: ({ share }) => share },
    ]);
    block("wire").hidden = this.kind !== "wire";
    block("calls").hidden = !this.isHub;
    // Pools keep no list of errors: an empty table would say that there were none.
    block("recent").hidden = this.kind === "pool";
    block("requests").hidden = !this.answers;
    this.calls = new Table(block("calls"), CALL_COLUMNS);
    this.offers = new Table(block("offers"), [
      { name: "Who", text: true, of: ({ peer }) => shown(peer) },
      { name: "Offers", text: true, wrap: true, of: ({ names, count }) => {
        const rest = count - names.length;
        return names.map((name) => shown(name)).join(", ") + (rest > 0 ? " and " + rest + " more" : "");
      } },
    ]);
    this.traffic = new Table(block("traffic"), [
      { name: "Stream", text: true, of: ({ name }) => shown(name) },
      { name: "Opened", of: ({ streams }) => whole(streams)[0] },
      { name: "Received", of: ({ bytesIn }) => inWords(bytes(bytesIn)) },
      { name: "Sent", of: ({ bytesOut }) => inWords(bytes(bytesOut)) },
    ]);
  }

  close() {
    for (const plot of this.plots) plot.close();
  }

  update(report, samples, range) {
    const lamp = this.section.querySelector(".lamp");
    setText(lamp, report.state);
    lamp.dataset.state = mood(report.state);
    const what = report.role === null ? report.kind : report.kind + " " + report.role;
    const time = report.onlineMs === null ? null : "up " + inWords(duration(report.onlineMs));
    const facts = [what, report.address === null ? null : shown(report.address), time];
    setText(this.section.querySelector(".where"), facts.filter((fact) => fact !== null).join(" · "));
    this.updateTiles(report);
    this.draw(samples, range);
    this.updateTables(report);
  }

  draw(samples, range) {
    for (const plot of this.plots) plot.update(samples, range);
  }

  updateTiles(report) {
    const { tiles } = this;
    const { rates, overall } = report;
    tiles.set(words(LINKS[this.kind][1]), whole(report.linksNow));
    tiles.set("In", bytesPerSecond(rates.bytesIn));
    tiles.set("Out", bytesPerSecond(rates.bytesOut));
    tiles.set(this.kind === "wire" ? "Frames in" : "Messages in", perSecond(rates.messagesIn));
    tiles.set(this.kind === "wire" ? "Frames out" : "Messages out", perSecond(rates.messagesOut));
    if (this.answers) tiles.set("Latency, 95 %", duration(report.requestP95Ms));
    if (this.kind === "wire") {
      tiles.set("Streams", whole(report.links.reduce((total, { streams }) => total + streams, 0)));
      if (this.isHub) tiles.set("Relayed", whole(overall.streamsRelayed));
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
    this.recent.update([...report.recentErrors].reverse());
    this.faults.update([...Object.entries(report.errors), ...Object.entries(report.refusals)]);
    this.days.update([...report.days].reverse());
    this.requests.update(spread(report.requests));
    this.calls.update(report.calls);
    this.offers.update(report.offers);
    this.traffic.update(report.trafficByName);
  }
}

/** Requests by duration: the buckets between the first and the last one that hold any. */
function spread(requests) {
  if (requests === null || requests.count === 0) return [];
  const { boundsMs, counts, count } = requests;
  const within = (index) => index < boundsMs.length
    ? boundsMs[index] < 1000 ? boundsMs[index] + " ms" : boundsMs[index] / 1000 + " s"
    : "more";
  const rows = counts.map((held, index) => ({ within: within(index), count: held, share: held / count }));
  const isFull = (row) => row.count > 0;
  return rows.slice(rows.findIndex(isFull), rows.findLastIndex(isFull) + 1);
}
`;
