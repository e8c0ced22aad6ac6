// The part of the page's script that draws plots.

/** Class `Plot`: lines over the last five minutes, with a hair that pointer and arrow keys move. */
export const PLOT_SCRIPT: string = String.raw`
const SVG = "http://www.w3.org/2000/svg";
/** A plot shows what there is, from the last minute to the last five. */
const MIN_SPAN_MS = 60000;
const MAX_SPAN_MS = 300000;
const LEFT = 52;
const BOTTOM = 18;
const TOP = 8;

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The least of 1, 2, 2.5, 5, 10 and so on that is not below the value. */
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 2.5, 5, 10].find((step) => step * power >= value * 0.999999);
}

class Plot {
  /**
   * name: what it shows; format: number to [digits, unit]; floor: the least height of the scale;
   * series: list of { key, label, className }.
   */
  constructor(parent, { name, format, floor, series }) {
    const fragment = document.getElementById("plot").content.cloneNode(true);
    this.figure = fragment.querySelector("figure");
    this.canvas = fragment.querySelector(".canvas");
    this.svg = fragment.querySelector(".canvas svg");
    this.readout = fragment.querySelector(".readout");
    this.name = name;
    this.format = format;
    this.floor = floor;
    this.series = series;
    this.samples = [];
    this.cursor = null;
    fragment.querySelector(".plot-name").textContent = name;
    for (const { label, className } of series) {
      const item = make("span", "", label);
      const swatch = draw("svg", { viewBox: "0 0 20 8", "aria-hidden": "true" });
      swatch.append(draw("path", { d: "M0 4H20", class: "stroke " + className }));
      item.prepend(swatch);
      fragment.querySelector(".legend").append(item);
    }
    parent.append(fragment);
    this.canvas.addEventListener("pointermove", (event) => {
      this.pointAt(event.clientX - this.canvas.getBoundingClientRect().left);
    });
    this.canvas.addEventListener("pointerleave", () => this.setCursor(null));
    this.canvas.addEventListener("blur", () => this.setCursor(null));
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  update(samples) {
    this.samples = samples;
    this.draw();
    const latest = samples[samples.length - 1];
    const parts = this.series.map(({ key, label }) => {
      const known = samples.map((sample) => sample[key]).filter((value) => value !== null);
      if (known.length === 0) return label + " not measured yet";
      const last = latest[key] === null ? known[known.length - 1] : latest[key];
      return label + " " + this.say(last) + ", at most " + this.say(Math.max(...known));
    });
    this.canvas.setAttribute("aria-label", this.name + " over the last minutes: " + parts.join("; ") + ".");
  }

  say(value) {
    return value === null ? "–" : inWords(this.format(value));
  }

  /** The same without the digits that say nothing: a scale has round numbers. */
  round(value) {
    const [digits, unit] = this.format(value);
    if (unit === "") return digits;
    return value === 0 ? "0" : inWords([String(parseFloat(digits)), unit]);
  }

  get endMs() {
    return this.samples.length === 0 ? 0 : this.samples[this.samples.length - 1].atMs;
  }

  x(atMs) {
    return LEFT + (this.width - LEFT) * (1 - (this.endMs - atMs) / this.spanMs);
  }

  draw() {
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    if (this.width === 0 || this.samples.length === 0) return;
    this.spanMs = Math.min(MAX_SPAN_MS, Math.max(MIN_SPAN_MS, this.endMs - this.samples[0].atMs));
    this.visible = this.samples.filter(({ atMs }) => atMs >= this.endMs - this.spanMs);
    const values = this.visible.flatMap((sample) => this.series.map(({ key }) => sample[key] || 0));
    const top = niceAbove(Math.max(this.floor, ...values));
    const bottom = this.height - BOTTOM;
    const y = (value) => bottom - (bottom - TOP) * value / top;
    const parts = [];
    for (const value of [0, top / 2, top]) {
      parts.push(draw("path", { class: "grid", d: "M" + LEFT + " " + y(value) + "H" + this.width }));
      parts.push(draw("text", { class: "axis", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, this.round(value)));
    }
    for (const [share, anchor] of [[1, "start"], [0.5, "middle"], [0, "end"]]) {
      const ms = share * this.spanMs;
      const text = share === 0 ? "now" : "−" + (ms < 120000 ? Math.round(ms / 1000) + " s" : (ms / 60000).toFixed(1) + " min");
      const x = this.x(this.endMs - ms);
      parts.push(draw("text", { class: "axis", x, y: this.height - 3, "text-anchor": anchor }, text));
    }
    for (const { key, className } of this.series) parts.push(...this.drawSeries(key, className, y, bottom));
    if (this.cursor !== null) parts.push(...this.drawHair(y, bottom));
    this.svg.setAttribute("viewBox", "0 0 " + this.width + " " + this.height);
    this.svg.replaceChildren(...parts);
  }

  /** Where nothing was measured, the line has a gap; a single value is a dot. */
  drawSeries(key, className, y, bottom) {
    const parts = [];
    let run = [];
    const finish = () => {
      if (run.length === 1) parts.push(draw("circle", { class: "dot " + className, cx: run[0][0], cy: run[0][1], r: 2 }));
      if (run.length > 1) {
        const line = "M" + run.map(([x, at]) => x.toFixed(1) + " " + at.toFixed(1)).join("L");
        const area = line + "L" + run[run.length - 1][0].toFixed(1) + " " + bottom + "L" + run[0][0].toFixed(1) + " " + bottom + "Z";
        parts.push(draw("path", { class: "area " + className, d: area }));
        parts.push(draw("path", { class: "stroke " + className, d: line }));
      }
      run = [];
    };
    for (const sample of this.visible) {
      if (sample[key] === null) finish();
      else run.push([this.x(sample.atMs), y(sample[key])]);
    }
    finish();
    return parts;
  }

  drawHair(y, bottom) {
    const sample = this.visible[this.cursor];
    if (sample === undefined) return [];
    const x = this.x(sample.atMs);
    const dots = this.series.filter(({ key }) => sample[key] !== null).map(({ key, className }) => {
      return draw("circle", { class: "dot " + className, cx: x, cy: y(sample[key]), r: 3.5 });
    });
    return [draw("path", { class: "hair", d: "M" + x + " " + TOP + "V" + bottom }), ...dots];
  }

  pointAt(offset) {
    this.readout.setAttribute("aria-live", "off");
    if (!this.visible) return;
    let nearest = null;
    this.visible.forEach((sample, index) => {
      const distance = Math.abs(this.x(sample.atMs) - offset);
      if (nearest === null || distance < nearest.distance) nearest = { index, distance };
    });
    this.setCursor(nearest === null ? null : nearest.index);
  }

  onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape") this.setCursor(null);
    if (step === undefined || !this.visible) return;
    event.preventDefault();
    // What the keys lead to is read out; what a pointer passes is not.
    this.readout.setAttribute("aria-live", "polite");
    const last = this.visible.length - 1;
    const from = this.cursor === null ? last : this.cursor;
    this.setCursor(Math.max(0, Math.min(last, from + step)));
  }

  setCursor(index) {
    this.cursor = index;
    const sample = index === null || !this.visible ? undefined : this.visible[index];
    this.readout.hidden = sample === undefined;
    if (sample !== undefined) {
      const time = new Date(sample.atMs).toLocaleTimeString("en-GB");
      const parts = this.series.map(({ key, label }) => label + " " + this.say(sample[key]));
      this.readout.textContent = time + " · " + parts.join(" · ");
    }
    this.draw();
  }
}
`;
