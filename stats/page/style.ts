// The page's style: calm, light and dark, from 360 px up.

/** Colours, in both schemes; text has a contrast of 4.5 at least. */
const COLOURS = `
:root {
  color-scheme: light dark;
  --ground: #f5f6f4;
  --card: #ffffff;
  --ink: #1c2528;
  --soft: #586469;
  --line: #e0e4e2;
  --in: #0f766e;
  --out: #7048c8;
  --late: #a04a10;
  --good: #0f766e;
  --good-ground: #dff3ef;
  --warn: #8a4b00;
  --warn-ground: #fcecd2;
  --bad: #a32018;
  --bad-ground: #fbe3e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12181a;
    --card: #1a2225;
    --ink: #e4eaea;
    --soft: #98a6aa;
    --line: #2c373b;
    --in: #4fcdbb;
    --out: #b49bff;
    --late: #f0a868;
    --good: #6fdccb;
    --good-ground: #123833;
    --warn: #f5c06b;
    --warn-ground: #3d2e12;
    --bad: #ff9d94;
    --bad-ground: #46201d;
  }
}
`;

const FRAME = `
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body {
  margin: 0 auto;
  padding: 1.25rem clamp(0.75rem, 3vw, 2.5rem) 3rem;
  max-width: 82rem;
  background: var(--ground);
  color: var(--ink);
  font: 400 0.9375rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
h1, h2, p, ul, dl, dd, figure { margin: 0; padding: 0; }
ul { list-style: none; }
a { color: var(--in); }
:focus-visible { outline: 3px solid var(--in); outline-offset: 2px; border-radius: 6px; }
main:focus { outline: none; }
[hidden] { display: none !important; }
.skip { position: absolute; left: -100vw; top: 0.5rem; padding: 0.5rem 1rem; background: var(--card); z-index: 1; }
.skip:focus { left: 0.5rem; }
.top { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 1rem; margin-bottom: 1rem; }
.brand { display: flex; align-items: center; gap: 0.75rem; min-width: 0; margin-right: auto; }
h1 { font-size: 1.375rem; font-weight: 650; letter-spacing: -0.01em; overflow-wrap: anywhere; }
.live { color: var(--soft); }
.live::before {
  content: ""; display: inline-block; width: 0.5rem; height: 0.5rem; margin-right: 0.5rem;
  border-radius: 50%; background: var(--soft);
}
.live[data-state="live"]::before { background: var(--good); }
.live[data-state="lost"] { color: var(--bad); }
.live[data-state="lost"]::before { background: var(--bad); }
.lamp {
  padding: 0.125rem 0.625rem; border-radius: 999px; font-size: 0.8125rem; font-weight: 600;
  color: var(--soft); background: var(--line);
}
.lamp[data-state="good"] { color: var(--good); background: var(--good-ground); }
.lamp[data-state="warn"] { color: var(--warn); background: var(--warn-ground); }
.lamp[data-state="bad"] { color: var(--bad); background: var(--bad-ground); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
.ranges { display: flex; gap: 0.25rem; margin: 0 0 1rem; padding: 0; border: 0; }
.ranges legend { position: absolute; left: -100vw; }
.ranges input { position: absolute; opacity: 0; }
.ranges span {
  display: block; padding: 0.25rem 0.75rem; border: 1px solid var(--line); border-radius: 999px;
  background: var(--card); color: var(--soft); cursor: pointer; font-size: 0.875rem;
}
.ranges input:checked + span { background: var(--good-ground); border-color: var(--good); color: var(--good); font-weight: 600; }
.ranges input:focus-visible + span { outline: 3px solid var(--in); outline-offset: 2px; }
body[data-gone="yes"] main { opacity: 0.5; filter: grayscale(1); }
footer { margin-top: 1.5rem; font-size: 0.875rem; }
`;

const CARDS = `
.card {
  margin-bottom: 1.25rem; padding: clamp(0.875rem, 2vw, 1.5rem);
  background: var(--card); border: 1px solid var(--line); border-radius: 14px;
}
.name { display: flex; flex-wrap: wrap; align-items: center; gap: 0.375rem 0.75rem; margin-bottom: 1rem; }
h2 { font-size: 1.125rem; font-weight: 650; overflow-wrap: anywhere; min-width: 0; }
.where { color: var(--soft); overflow-wrap: anywhere; min-width: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(6.25rem, 1fr)); gap: 0.75rem 1rem; }
.tiles div { min-width: 0; }
.tiles dt { color: var(--soft); font-size: 0.8125rem; }
.tiles dd { font-size: 1.25rem; font-weight: 600; letter-spacing: -0.01em; white-space: nowrap; }
.tiles dd small { font-size: 0.75em; font-weight: 500; color: var(--soft); margin-left: 0.2em; }
.tiles [data-state="bad"] dd { color: var(--bad); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.25rem; margin-top: 1.25rem; }
.plot { min-width: 0; }
.plot figcaption { display: flex; flex-wrap: wrap; gap: 0 1rem; font-size: 0.8125rem; margin-bottom: 0.25rem; }
.plot-name { font-weight: 600; margin-right: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 0 0.875rem; color: var(--soft); }
.swatch { display: inline-block; width: 1rem; height: 0.1875rem; margin-right: 0.375rem; vertical-align: middle; border-radius: 2px; }
.swatch.in { background: var(--in); } .swatch.out { background: var(--out); }
.swatch.late { background: var(--late); } .swatch.bad { background: var(--bad); }
.peak:not(:empty)::before { content: " · "; }
.frame { position: relative; }
.canvas { height: 10rem; touch-action: pan-y; }
.uplot, .uplot canvas { width: 100%; display: block; }
.u-wrap { position: relative; user-select: none; }
.u-wrap canvas { height: 100%; }
.u-over, .u-under, .u-axis, .u-select { position: absolute; }
.u-under { overflow: hidden; }
.u-cursor-x { position: absolute; left: 0; top: 0; height: 100%; border-right: 1px solid var(--soft); pointer-events: none; }
.u-cursor-pt { position: absolute; top: 0; left: 0; border-radius: 50%; border: 0 solid; background-clip: padding-box !important; pointer-events: none; }
.u-off { display: none; }
.readout {
  position: absolute; top: 0; right: 0; padding: 0.125rem 0.5rem; font-size: 0.8125rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; pointer-events: none;
}
.note { margin-top: 0.75rem; max-width: 60rem; color: var(--soft); font-size: 0.8125rem; }
`;

const TABLES = `
.tables { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.5rem; margin-top: 1.5rem; }
.tables > div, .wire > div { min-width: 0; }
.wire { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.5rem; }
.find { display: flex; align-items: center; gap: 0.75rem; margin-bottom: 0.5rem; color: var(--soft); font-size: 0.8125rem; }
.find input {
  width: 16rem; max-width: 60%; padding: 0.25rem 0.625rem; font: inherit; color: var(--ink);
  background: var(--ground); border: 1px solid var(--line); border-radius: 8px;
}
.find input::placeholder { color: var(--soft); opacity: 1; }
@media (min-width: 60rem) {
  .tables { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .links, .wire, .recent, .days { grid-column: 1 / -1; }
  .find { justify-content: flex-end; margin-bottom: -1.75rem; position: relative; z-index: 3; }
  .wire { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .calls { grid-column: 1 / -1; }
}
.scroll {
  overflow: auto; max-height: 32rem;
  background:
    linear-gradient(to left, var(--card) 30%, transparent) right / 2.5rem 100% no-repeat local,
    linear-gradient(to left, var(--line), transparent) right / 1rem 100% no-repeat scroll;
}
table { width: 100%; border-collapse: collapse; font-size: 0.875rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.375rem; position: sticky; left: 0; }
th, td { padding: 0.3125rem 0.75rem 0.3125rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0.25rem; }
th { color: var(--soft); font-weight: 500; font-size: 0.8125rem; }
thead th { position: sticky; top: 0; background: var(--card); }
th:first-child { position: sticky; left: 0; z-index: 1; background: var(--card); }
thead th:first-child { z-index: 2; }
tbody th, .text:not(.wrap) { max-width: 16rem; overflow: hidden; text-overflow: ellipsis; }
.wrap { white-space: normal; min-width: 16rem; overflow-wrap: anywhere; }
th button { padding: 0; border: 0; background: none; color: inherit; font: inherit; cursor: pointer; }
[aria-sort] button { color: var(--ink); font-weight: 600; }
[aria-sort="ascending"] button::after { content: " \\2191"; }
[aria-sort="descending"] button::after { content: " \\2193"; }
td.bar { width: 40%; min-width: 6rem; text-align: left; vertical-align: middle; }
td.bar i { display: block; height: 0.5rem; min-width: 1px; background: var(--in); border-radius: 4px; }
td[data-state="good"] { color: var(--good); } td[data-state="warn"] { color: var(--warn); } td[data-state="bad"] { color: var(--bad); }
tbody th { color: var(--ink); font-weight: 500; font-size: inherit; }
.text { text-align: left; }
tbody tr:last-child > * { border-bottom: none; }
.empty { color: var(--soft); }
.empty b { display: block; color: var(--ink); font-weight: 600; font-size: 0.875rem; }
@media (max-width: 30rem) {
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .canvas { height: 8.5rem; }
  tbody th, tbody th.text:not(.wrap) { max-width: 9rem; }
  .live { width: 100%; order: 1; }
}
@media (forced-colors: active) { .lamp { border: 1px solid; } .swatch, td.bar i { forced-color-adjust: none; } }
@media print { .card { break-inside: avoid; } footer, .skip { display: none; } }
`;

/** The page's style sheet. */
export const STYLE: string = [COLOURS, FRAME, CARDS, TABLES].join("");
