// The part of the page's script that writes numbers and names for people.

/** Functions for text; all that comes from a peer goes through `shown` and `textContent`. */
export const FORMAT_SCRIPT: string = String.raw`
/** Text of a peer's choice: nothing invisible, nothing that turns text around, and not too long. */
function shown(text, most = 80) {
  const escaped = String(text).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    return "\\u{" + character.codePointAt(0).toString(16) + "}";
  });
  return escaped.length > most ? escaped.slice(0, most - 1) + "…" : escaped;
}

/** A number and its unit, with three digits or so. */
function scaled(value, base, units) {
  let index = 0;
  while (value >= base * 0.9995 && index < units.length - 1) {
    value /= base;
    index++;
  }
  const digits = value === 0 || value >= 100 || (index === 0 && Number.isInteger(value)) ? 0 : value >= 10 ? 1 : 2;
  return [value.toFixed(digits), units[index]];
}

const bytes = (value) => scaled(value, 1000, ["B", "kB", "MB", "GB", "TB", "PB"]);
const bytesPerSecond = (value) => scaled(value, 1000, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]);
const perSecond = (value) => scaled(value, 1000, ["/s", "k/s", "M/s", "G/s"]);
const whole = (value) => [Math.round(value).toLocaleString("en-GB"), ""];

/** A duration in milliseconds, in its two largest units. */
function duration(ms) {
  if (ms === null || ms === undefined) return ["–", ""];
  if (ms < 1000) return [ms < 10 ? ms.toFixed(1) : ms.toFixed(0), "ms"];
  if (ms < 60000) return [(ms / 1000).toFixed(ms < 10000 ? 1 : 0), "s"];
  const minutes = Math.floor(ms / 60000);
  if (minutes < 60) return [minutes + " min " + Math.floor(ms / 1000) % 60 + " s", ""];
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return [hours + " h " + minutes % 60 + " min", ""];
  return [Math.floor(hours / 24) + " d " + hours % 24 + " h", ""];
}

const inWords = (pair) => pair.join(" ").trim();

/** Makes "handshakeFailures" and "too_many_connections" words. */
function words(name) {
  const text = name.replace(/_/g, " ").replace(/[A-Z]/g, (letter) => " " + letter.toLowerCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** How a state looks: good, warn, bad or of no account. */
function mood(state) {
  if (["listening", "connected", "open", "ready"].includes(state)) return "good";
  if (["leaving", "draining", "closing", "reconnecting", "connecting", "created", "half-open", "ejected"].includes(state)) return "warn";
  if (["error", "unwell", "timed-out", "disconnected"].includes(state)) return "bad";
  return "";
}

/** Sets text only where it changed: what did not change is not painted, nor read out. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, text) {
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** A moment: its time, and its day where that is not today. */
function moment(ms) {
  const then = new Date(ms);
  const time = then.toLocaleTimeString("en-GB");
  const isToday = then.toDateString() === new Date().toDateString();
  return isToday ? time : then.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) + " " + time;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}
`;
