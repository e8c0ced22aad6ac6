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
#sources-nav { margin-bottom: 1rem; }
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
.legend svg { width: 1.25rem; height: 0.5rem; margin-right: 0.375rem; }
.frame { position: relative; }
.canvas { height: 10rem; touch-action: pan-y; }
.canvas > svg { display: block; width: 100%; height: 100%; overflow: visible; }
.grid { stroke: var(--line); stroke-width: 1; }
.axis { fill: var(--soft); font-size: 11px; }
.hair { stroke: var(--soft); stroke-width: 1; }
.stroke { fill: none; stroke-width: 1.75; stroke-linejoin: round; stroke-linecap: round; }
.area { stroke: none; opacity: 0.1; }
.stroke.in { stroke: var(--in); } .area.in, .dot.in { fill: var(--in); }
.stroke.out { stroke: var(--out); stroke-dasharray: 5 4; } .area.out, .dot.out { fill: var(--out); }
.stroke.late { stroke: var(--late); } .area.late, .dot.late { fill: var(--late); }
.readout {
  position: absolute; top: 0; right: 0; padding: 0.125rem 0.5rem; font-size: 0.8125rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; pointer-events: none;
}
.note { margin-top: 0.75rem; max-width: 60rem; color: var(--soft); font-size: 0.8125rem; }
`;

const TABLES = `
.tables { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.5rem; margin-top: 1.5rem; }
.tables > div { min-width: 0; }
@media (min-width: 60rem) {
  .tables { grid-template-columns: minmax(0, 1fr) minmax(0, 2fr); }
  .links { grid-column: 1 / -1; }
  .days:only-of-type { grid-column: 1 / -1; }
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
tbody th { color: var(--ink); font-weight: 500; font-size: inherit; }
.text { text-align: left; }
tbody tr:last-child > * { border-bottom: none; }
.empty { color: var(--soft); }
.empty b { display: block; color: var(--ink); font-weight: 600; font-size: 0.875rem; }
@media (max-width: 30rem) {
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .canvas { height: 8.5rem; }
  .live { width: 100%; order: 1; }
}
@media (forced-colors: active) { .stroke, .hair { stroke: CanvasText; } .lamp { border: 1px solid; } }
@media print { .card { break-inside: avoid; } footer, .skip { display: none; } }
`;

/** The page's style sheet. */
export const STYLE: string = [COLOURS, FRAME, CARDS, TABLES].join("");
