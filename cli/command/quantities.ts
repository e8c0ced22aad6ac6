// Quantities: numbers, bytes and durations as people type them.

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3 };

/** A whole number; `null` for anything else. */
export function parseCount(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** Bytes: `4096`, `64KiB`, `1MB`; `null` for anything else. */
export function parseBytes(text: string): number | null {
  return withUnit(text, BYTE_UNITS);
}

/** A duration in ms: `500ms`, `10s`, `1.5m`, `1h`; `null` for anything else, a bare number too. */
export function parseDuration(text: string): number | null {
  return withUnit(text, TIME_UNITS);
}

function withUnit(text: string, units: Readonly<Record<string, number>>): number | null {
  const [, digits, unit] = /^(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]*)$/.exec(text) ?? [];
  if (digits === undefined || unit === undefined || !Object.hasOwn(units, unit)) return null;
  return Math.round(Number(digits) * (units[unit] ?? 0));
}
