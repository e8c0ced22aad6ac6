// A strict parser of OpenMetrics text: throws at whatever is not as the specification (1.0.0) wants it.
import { assert, assertEquals } from "@std/assert";

/** One sample. */
export interface Sample {
  readonly suffix: string;
  readonly labels: Record<string, string>;
  readonly value: number;
}

/** A family of metrics. */
export interface Family {
  readonly type: string;
  readonly help: string;
  readonly unit: string | undefined;
  readonly samples: Sample[];
}

const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: ["_total"],
  gauge: [""],
  stateset: [""],
  histogram: ["_bucket", "_count", "_sum"],
};

/** Parses a whole exposition; each family once, each series once, every value a number that fits its type. */
export function parseOpenMetrics(text: string): Map<string, Family> {
  assert(text.endsWith("\n# EOF\n"), "No end");
  const families = new Map<string, Family & { help: string; unit: string | undefined }>();
  const series = new Set<string>();
  let name = "";
  for (const line of text.split("\n").slice(0, -2)) {
    const [, kind, family, rest] = /^# (TYPE|HELP|UNIT) ([a-z_][a-z0-9_]*) (.+)$/.exec(line) ?? [];
    if (kind === "TYPE") {
      assert(!families.has(family!), `${family} comes twice`);
      assert(rest! in SUFFIXES, `Type ${rest}`);
      families.set(name = family!, { type: rest!, help: "", unit: undefined, samples: [] });
      continue;
    }
    const current = families.get(name);
    assert(current !== undefined, `Before the first family: ${line}`);
    if (kind !== undefined) {
      assertEquals(family, name);
      assertEquals(current.samples.length, 0, "Told after the first sample");
      if (kind === "HELP") current.help = rest!;
      else {
        assert(name.endsWith(`_${rest}`), `Unit ${rest} of ${name}`);
        current.unit = rest;
      }
      continue;
    }
    assert(!series.has(line.slice(0, line.lastIndexOf(" "))), `Twice: ${line}`);
    series.add(line.slice(0, line.lastIndexOf(" ")));
    current.samples.push(parseSample(line, name, current.type));
  }
  for (const [family, { samples, help }] of families) {
    assert(samples.length > 0 && help !== "", family);
  }
  return families;
}

function parseSample(line: string, name: string, type: string): Sample {
  const [, full, inner, number] = /^([a-z_0-9]+)\{(.*)\} (\S+)$/.exec(line) ?? [];
  assert(full !== undefined && full.startsWith(name), `Not of ${name}: ${line}`);
  const suffix = full.slice(name.length);
  assert(SUFFIXES[type]!.includes(suffix), `${suffix} of a ${type}`);
  const labels: Record<string, string> = {};
  let rest = inner!;
  while (rest !== "") {
    const [all, label, value] =
      /^([a-z_][a-z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/.exec(rest) ?? [];
    assert(all !== undefined, `Labels: ${line}`);
    assert(!(label! in labels), `Label twice: ${line}`);
    labels[label!] = value!.replace(
      /\\(.)/g,
      (_, character) => character === "n" ? "\n" : character,
    );
    rest = rest.slice(all.length);
  }
  const value = Number(number);
  assert(Number.isFinite(value), `Value: ${line}`);
  if (type !== "gauge") assert(value >= 0, line);
  return { suffix, labels, value };
}
