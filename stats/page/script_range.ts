// The part of the page's script that knows which range of time is shown, and brings the samples for it.

/** The chosen range: the last minutes come with the events, the last hour and day from files of their own. */
export const RANGE_SCRIPT: string = String.raw`
const RANGES = {
  minute: { ms: 60000, name: "minute", file: null },
  minutes: { ms: 300000, name: "5 minutes", file: null },
  hour: { ms: 3600000, name: "hour", file: "hour.json" },
  day: { ms: 86400000, name: "day", file: "day.json" },
};
let chosen = "minutes";
/** Rows of the chosen file, or null: of the process, and of each source by its name. */
let history = null;
let asking = false;

const rangeName = () => RANGES[chosen].name;

/** First and last moment that the plots show. */
function rangeNow() {
  const endMs = processSamples[processSamples.length - 1].atMs;
  return [endMs - RANGES[chosen].ms, endMs];
}

/** Earlier and current samples, each moment once, as many as five minutes have. */
function merge(before, now) {
  const lastMs = before.length === 0 ? -Infinity : before[before.length - 1].atMs;
  return [...before, ...now.filter(({ atMs }) => atMs > lastMs)].slice(-300);
}

/** The longer history, and after it the samples that are newer. */
function withHistory(samples, rows) {
  if (!rows || rows.length === 0) return samples;
  const lastMs = rows[rows.length - 1].atMs;
  return [...rows, ...samples.filter(({ atMs }) => atMs > lastMs)];
}

function named(columns, rows) {
  return rows.map((row) => Object.fromEntries(columns.map((name, index) => [name, row[index]])));
}

/** Asks for the file of the range where one is due. */
async function refreshHistory() {
  const { file } = RANGES[chosen];
  if (file === null) history = null;
  if (file === null || asking) return;
  if (history !== null && history.file === file && Date.now() - history.askedAtMs < history.stepMs) return;
  asking = true;
  try {
    const response = await fetch(file);
    if (!response.ok || RANGES[chosen].file !== file) return;
    const { stepMs, columns, process, sources } = await response.json();
    const perSource = sources.map(({ name, rows }) => [name, named(columns.source, rows)]);
    history = { file, stepMs, askedAtMs: Date.now(), process: named(columns.process, process), sources: new Map(perSource) };
  } catch {
    // The server has gone, which the events report.
  } finally {
    asking = false;
  }
}

async function choose(range) {
  chosen = range;
  history = null;
  await refreshHistory();
  if (last !== null && document.body.dataset.gone !== "yes") show(last);
}

for (const input of document.querySelectorAll("input[name=range]")) {
  // Browsers bring back what was chosen before.
  input.checked = input.value === chosen;
  input.addEventListener("change", () => void choose(input.value));
}
`;
