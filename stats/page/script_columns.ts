// The part of the page's script that says what the columns of its tables are.

/** Columns of the tables of links, errors, calls and days. */
export const COLUMNS_SCRIPT: string = String.raw`
const byteColumn = (name, key) => ({ name, of: (row) => inWords(bytes(row[key])), value: (row) => row[key] });
const spanColumn = (name, key) => ({ name, of: (row) => inWords(duration(row[key])), value: (row) => row[key] });
const countColumn = (name, key) => ({ name, of: (row) => String(row[key]), value: (row) => row[key] });

function linkColumns(kind) {
  const columns = [{ name: "Address", text: true, of: ({ address }) => shown(address || "–") }];
  if (kind === "wire") columns.unshift({ name: "Who", text: true, of: ({ peer }) => shown(peer) });
  columns.push({ name: "State", text: true, of: ({ state }) => state });
  if (kind !== "pool") columns.push(spanColumn("Age", "ageMs"));
  columns.push(byteColumn("Received", "bytesIn"), byteColumn("Sent", "bytesOut"));
  if (kind === "wire") columns.push(countColumn("Streams", "streams"));
  if (kind === "pool") columns.push(countColumn("Connections", "streams"));
  if (kind !== "pool") columns.push(byteColumn("Queued", "queuedBytes"));
  if (kind === "wire") columns.push(spanColumn("Round trip", "rttMs"));
  return columns;
}

function dayColumns(kind) {
  const unit = kind === "wire" ? "Frames" : "Messages";
  return [
    { name: "Day", text: true, of: ({ day }) => day },
    { name: "Opened", of: ({ counters }) => whole(counters.connectionsOpened)[0] },
    { name: unit + " in", of: ({ counters }) => whole(counters.messagesIn ?? counters.framesIn)[0] },
    { name: unit + " out", of: ({ counters }) => whole(counters.messagesOut ?? counters.framesOut)[0] },
    { name: "Received", of: ({ counters }) => inWords(bytes(counters.bytesIn)) },
    { name: "Sent", of: ({ counters }) => inWords(bytes(counters.bytesOut)) },
  ];
}

const ERROR_COLUMNS = [
  { name: "When", text: true, of: ({ atMs }) => moment(atMs) },
  { name: "Peer", text: true, of: ({ peer }) => peer === null ? "–" : shown(peer) },
  { name: "During", text: true, of: ({ phase }) => shown(phase) },
  { name: "Code", text: true, of: ({ code }) => shown(code) },
  { name: "Times", of: ({ count }) => whole(count)[0] },
  { name: "What", text: true, wrap: true, of: ({ text }) => shown(text, 300) },
];

const CALL_COLUMNS = [
  { name: "From", text: true, of: ({ from }) => shown(from) },
  { name: "To", text: true, of: ({ to }) => shown(to) },
  { name: "Stream", text: true, of: ({ name }) => shown(name) },
  { name: "Age", of: ({ openedAtMs }) => inWords(duration(Math.max(0, takenAtMs - openedAtMs))) },
  byteColumn("Sent by caller", "bytesFrom"),
  byteColumn("Sent back", "bytesTo"),
];

const OVERVIEW_COLUMNS = [
  { name: "Source", text: true, of: ({ name }) => shown(name), link: ({ index }) => "#source-" + index },
  { name: "Kind", text: true, of: ({ kind, role }) => role === null || role === kind ? kind : kind + " " + role },
  { name: "State", text: true, of: ({ state }) => state, mood: ({ state }) => mood(state) },
  { name: "Links", of: ({ linksNow }) => whole(linksNow)[0] },
  { name: "In", of: ({ rates }) => inWords(bytesPerSecond(rates.bytesIn)) },
  { name: "Out", of: ({ rates }) => inWords(bytesPerSecond(rates.bytesOut)) },
  { name: "Messages in", of: ({ rates }) => inWords(perSecond(rates.messagesIn)) },
  { name: "Messages out", of: ({ rates }) => inWords(perSecond(rates.messagesOut)) },
  { name: "Latency, 95 %", of: ({ requestP95Ms }) => inWords(duration(requestP95Ms)) },
  { name: "Errors", of: ({ errors }) => whole(sum(errors))[0], mood: ({ errors }) => sum(errors) > 0 ? "bad" : "" },
  { name: "Refused", of: ({ refusals }) => whole(sum(refusals))[0] },
];
`;
