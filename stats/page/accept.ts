// metricsFormat(): which format of the metrics an `Accept` header asks for.
import type { OpenMetricsOptions } from "../export/openmetrics.ts";

/** Versions of OpenMetrics whose readers understand ours. */
const VERSIONS: readonly (string | undefined)[] = [undefined, "1.0.0", "0.0.1"];

const NONE = { specificity: 0, quality: 0 } as const;

/** One range of an `Accept` header. */
interface MediaRange {
  /** Such as `text/plain` or `text/*`, in lower case. */
  readonly type: string;
  /** Its version, where one is asked for. */
  readonly version: string | undefined;
  /** 0 (refused) to 1. */
  readonly quality: number;
}

/**
 * Returns the format to answer `/metrics` in. OpenMetrics goes to clients that name it and do not like plain
 * text more; quality 0 refuses it (RFC 9110, 12.4.2 and 12.5.1). Prometheus text goes to everything else.
 *
 * @param accept The header; `undefined` where there is none
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(metricsFormat("application/openmetrics-text;q=0.5, text/plain;q=0.2"), "openmetrics");
 * assertEquals(metricsFormat("application/openmetrics-text;q=0, text/plain"), "prometheus");
 * assertEquals(metricsFormat(undefined), "prometheus");
 * ```
 */
export function metricsFormat(
  accept: string | undefined,
): NonNullable<OpenMetricsOptions["format"]> {
  const ranges = (accept ?? "").toLowerCase().split(",").map(rangeOf);
  const named = ranges.filter(({ type, version }) =>
    type === "application/openmetrics-text" && VERSIONS.includes(version)
  );
  const open = Math.max(0, ...named.map(({ quality }) => quality));
  return open > 0 && open >= plainQuality(ranges) ? "openmetrics" : "prometheus";
}

/** How much plain text is liked, as the range says that fits it best. */
function plainQuality(ranges: readonly MediaRange[]): number {
  const order = ["*/*", "text/*", "text/plain"];
  return ranges.reduce((best, { type, quality }) => {
    const specificity = order.indexOf(type) + 1;
    if (specificity === 0 || specificity < best.specificity) return best;
    return {
      specificity,
      quality: specificity === best.specificity ? Math.max(quality, best.quality) : quality,
    };
  }, NONE as { specificity: number; quality: number }).quality;
}

function rangeOf(text: string): MediaRange {
  const [type = "", ...rest] = text.split(";").map((part) => part.trim());
  const parameters = new Map(rest.map((part) => {
    const [name = "", value = ""] = part.split("=", 2).map((half) => half.trim());
    return [name, value.replace(/^"(.*)"$/, "$1")];
  }));
  const quality = Number(parameters.get("q") ?? 1);
  // A quality that is no number says nothing: the range counts as named without one.
  const valid = quality >= 0 && quality <= 1;
  return { type, version: parameters.get("version"), quality: valid ? quality : 1 };
}
