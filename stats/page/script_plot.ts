// The part of the page's script that draws plots, by uPlot.

/** Class `Plot`: lines over the chosen range, with a hair that pointer and arrow keys move. */
export const PLOT_SCRIPT: string = String.raw`
/** Length of a page of samples that PageUp and PageDown pass. */
const KEY_PAGE = 30;

/** Colour of the style sheet, by its name there: it changes with the scheme. */
function colour(name, alpha) {
  const value = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  return alpha === undefined ? value : value + alpha;
}

function clockTime(ms, withSeconds) {
  const options = { hour: "2-digit", minute: "2-digit", second: withSeconds ? "2-digit" : undefined };
  return new Date(ms).toLocaleTimeString("en-GB", options);
}

/** The least of 1, 2, 4, 6, 10 and so on that is not below the value: their halves are short numbers too. */
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 4, 6, 10].find((step) => step * power >= value * 0.999999);
}

/** Plots that are on the screen are drawn; the others wait until they are. */
const onScreen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.plot.setSeen(isIntersecting);
}, { rootMargin: "200px" });
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) target.plot.resize();
});
const plots = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const plot of plots) plot.chart?.redraw(false);
});

class Plot {
  /**
   * name: what it shows; format: number to [digits, unit]; floor: the least height of the scale;
   * series: list of { key, label, colour, below (drawn downwards), line (not filled), peak (whether its peak is written) }.
   */
  constructor(parent, { name, format, floor, series }) {
    const fragment = document.getElementById("plot").content.cloneNode(true);
    this.canvas = fragment.querySelector(".canvas");
    this.readout = fragment.querySelector(".readout");
    Object.assign(this, { name, format, floor, series, samples: [], seen: false, chart: null, range: [0, 1], scale: [0, 1] });
    fragment.querySelector(".plot-name").textContent = name;
    this.peaks = series.map(({ label, colour: name }) => {
      const item = make("span", "key");
      item.append(make("i", "swatch " + name), label);
      const peak = item.appendChild(make("span", "peak"));
      fragment.querySelector(".legend").append(item);
      return peak;
    });
    parent.append(fragment);
    this.canvas.plot = this;
    this.canvas.addEventListener("pointermove", (event) => this.onTouch(event));
    this.canvas.addEventListener("blur", () => this.point(null));
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    plots.add(this);
    onScreen.observe(this.canvas);
    sizes.observe(this.canvas);
  }

  /** Forgets it: its place is no longer in the page. */
  close() {
    plots.delete(this);
    onScreen.unobserve(this.canvas);
    sizes.unobserve(this.canvas);
    this.chart?.destroy();
  }

  /** samples: the oldest first; range: first and last moment that are shown. */
  update(samples, range) {
    this.samples = samples.filter(({ atMs }) => atMs >= range[0]);
    this.range = range;
    this.label();
    if (this.seen) this.draw();
  }

  /** Writes the peaks, and for readers of the screen what the lines show. */
  label() {
    const parts = this.series.map(({ key, label, peak = true }, index) => {
      const highest = this.highest(key);
      setText(this.peaks[index], peak && highest !== null ? "peak " + this.say(highest) : "");
      if (highest === null) return label + " not measured yet";
      const last = this.samples.findLast((sample) => (sample[key] ?? null) !== null);
      return label + " " + this.say(last === undefined ? null : last[key]) + ", at most " + this.say(highest);
    });
    this.canvas.setAttribute("aria-label", this.name + " over the last " + rangeName() + ": " + parts.join("; ") + ".");
  }

  /** Highest value in the range; steps of longer ranges know their highest sample. */
  highest(key) {
    let highest = null;
    for (const sample of this.samples) {
      const value = sample[key + "Peak"] ?? sample[key] ?? null;
      if (value !== null && (highest === null || value > highest)) highest = value;
    }
    return highest;
  }

  say(value) {
    return value === null || value === undefined ? "–" : inWords(this.format(value));
  }

  /** The same without the digits that say nothing: a scale has round numbers. */
  round(value) {
    if (this.format === whole && !Number.isInteger(value)) return "";
    const [digits, unit] = this.format(value);
    if (unit === "") return digits;
    return value === 0 ? "0" : inWords([String(parseFloat(digits)), unit]);
  }

  /** Highest value that is drawn upwards, or downwards. */
  extent(below) {
    let most = 0;
    for (const { key, below: down = false } of this.series) {
      if (down !== below) continue;
      for (const sample of this.samples) if (sample[key] > most) most = sample[key];
    }
    return niceAbove(Math.max(this.floor, most));
  }

  setSeen(seen) {
    this.seen = seen;
    if (seen) this.draw();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (this.chart !== null && width > 0) this.chart.setSize({ width, height });
  }

  draw() {
    if (this.canvas.clientWidth === 0 || this.samples.length === 0) return;
    const top = this.extent(false);
    const bottom = this.series.some(({ below }) => below) ? this.extent(true) : 0;
    // The smaller half of the scale keeps a fifth of the larger one, so that its line can be seen.
    this.scale = bottom === 0 ? [0, top] : [-Math.max(bottom, top / 5), Math.max(top, bottom / 5)];
    const values = this.series.map(({ key, below }) => this.samples.map((sample) => {
      const value = sample[key] ?? null;
      return value !== null && below ? -value : value;
    }));
    const data = [this.samples.map(({ atMs }) => atMs), ...values];
    if (this.chart === null) this.chart = this.makeChart(data);
    else this.chart.setData(data);
  }

  makeChart(data) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const font = "11px system-ui, sans-serif";
    const axis = { stroke: () => colour("soft"), font, ticks: { show: false }, grid: { stroke: () => colour("line"), width: 1 } };
    const splits = () => {
      const [low, high] = this.scale;
      return low === 0 ? [0, high / 2, high] : [low, 0, high];
    };
    const options = {
      ms: 1, width, height, padding: [8, 10, 0, 0], legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 }, sync: { key: "page" } },
      scales: { x: { range: () => this.range }, y: { range: () => this.scale } },
      axes: [
        { ...axis, size: 22, gap: 4, space: 76, values: (chart, moments) => {
          const exact = moments.some((ms) => ms % 60000 !== 0);
          // A time at the left edge would lie on the numbers of the other scale.
          return moments.map((ms) => chart.valToPos(ms, "x") < 28 ? "" : clockTime(ms, exact));
        } },
        { ...axis, size: 60, gap: 6, splits, values: (_, list) => list.map((value) => this.round(Math.abs(value))) },
      ],
      series: [{}, ...this.series.map((series) => ({
        stroke: () => colour(series.colour), fill: series.line ? undefined : () => colour(series.colour, "1a"), width: 1.75, fillTo: 0,
        dash: series.dash, points: { show: false, size: 4, filter: (chart, index) => lonely(chart.data[index]) },
      }))],
      hooks: { setCursor: [(chart) => this.read(chart.cursor.idx)] },
    };
    return new uPlot(options, data, this.canvas);
  }

  /** Moves the hair to a sample, or away. */
  point(index) {
    const { chart } = this;
    if (chart === null) return;
    if (index === null) return chart.setCursor({ left: -10, top: -10 });
    chart.setCursor({ left: chart.valToPos(this.samples[index].atMs, "x"), top: 0 });
  }

  /** A finger that moves is a pointer too; the chart itself hears a mouse only. */
  onTouch(event) {
    this.readout.setAttribute("aria-live", "off");
    if (this.chart === null || event.pointerType === "mouse") return;
    this.chart.setCursor({ left: event.clientX - this.chart.over.getBoundingClientRect().left, top: 0 });
  }

  onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -KEY_PAGE, PageDown: KEY_PAGE, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape") this.point(null);
    if (step === undefined || this.samples.length === 0) return;
    event.preventDefault();
    // What the keys lead to is read out; what a pointer passes is not.
    this.readout.setAttribute("aria-live", "polite");
    const last = this.samples.length - 1;
    const from = this.chart?.cursor.idx ?? last;
    this.point(Math.max(0, Math.min(last, from + step)));
  }

  read(index) {
    const sample = this.samples[index ?? -1];
    this.readout.hidden = sample === undefined;
    if (sample === undefined) return;
    const parts = this.series.map(({ key, label }) => label + " " + this.say(sample[key]));
    setText(this.readout, clockTime(sample.atMs, true) + " · " + parts.join(" · "));
  }
}

/** Indices of values without a neighbour: no line goes there, so that a dot must show them. */
function lonely(values) {
  const found = [];
  values.forEach((value, index) => {
    if (value !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null) found.push(index);
  });
  return found;
}
`;
