// The page's script: the parts that make it up, as one module for the browser.
import { COLUMNS_SCRIPT } from "./script_columns.ts";
import { FORMAT_SCRIPT } from "./script_format.ts";
import { LIVE_SCRIPT } from "./script_live.ts";
import { PLOT_SCRIPT } from "./script_plot.ts";
import { RANGE_SCRIPT } from "./script_range.ts";
import { SOURCE_SCRIPT } from "./script_source.ts";
import { TABLE_SCRIPT } from "./script_table.ts";

/** The page's script, for browsers of the last years. */
export const SCRIPT: string = [
  FORMAT_SCRIPT,
  PLOT_SCRIPT,
  TABLE_SCRIPT,
  COLUMNS_SCRIPT,
  SOURCE_SCRIPT,
  RANGE_SCRIPT,
  LIVE_SCRIPT,
].join("\n");
