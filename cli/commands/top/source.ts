// StatsAddress: where statistics are read from, over HTTP.
import { AddressError, TimeoutError } from "../../../errors.ts";
import { parseAddress } from "../../command/address.ts";
import { UsageError } from "../../command/usage.ts";
import { readReport, type TopReport } from "./report.ts";

/** Longest time for one answer, in ms. */
const TIMEOUT_MS = 5000;

/** Most bytes of one answer: some times what a thousand connections take. */
const MAX_BYTES = 16 * 2 ** 20;

/** Status of an answer to a request that was meant for another host. */
const MISDIRECTED = 421;

/** An answer, as it came and as it is shown. */
export interface StatsAnswer {
  /** As the address sent it. */
  readonly raw: unknown;
  readonly report: TopReport;
}

/**
 * The URL of `stats.json` for what was typed: an URL of the page, or an address.
 *
 * @throws {UsageError} when it is neither
 */
export function statsUrl(typed: string): URL {
  if (/^https?:\/\//i.test(typed)) {
    if (!URL.canParse(typed)) throw new UsageError(`"${typed}" is no URL`);
    const url = new URL(typed);
    return url.pathname.endsWith("/stats.json") ? url : new URL("stats.json", withSlash(url));
  }
  const address = parseAddress(typed);
  if ("path" in address) {
    throw new UsageError("Statistics are served over TCP, not over a unix socket");
  }
  const { hostname, port } = address;
  return new URL(
    `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}/stats.json`,
  );
}

function withSlash(url: URL): URL {
  const base = new URL(url);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return base;
}

/**
 * Reads the statistics once.
 *
 * @throws {AddressError} when no program answers, or the program has no statistics
 * @throws {TimeoutError} when the answer takes too long
 */
export async function readStats(url: URL, signal: AbortSignal): Promise<StatsAnswer> {
  const late = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  let bytes: Uint8Array;
  try {
    response = await fetch(url, { signal: AbortSignal.any([signal, late]), redirect: "manual" });
    bytes = await readBounded(response);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AddressError) throw error;
    throw faultOf(url, error, late.aborted);
  }
  if (response.status === MISDIRECTED) {
    throw notStatistics(
      url,
      `the page is not served under that name; ask by its address, or see "allowedHosts" and --stats-host`,
    );
  }
  if (response.status !== 200) throw notStatistics(url, `the answer is ${response.status}`);
  const raw = parseJson(bytes);
  const report = readReport(raw);
  if (report === null) throw notStatistics(url, "the answer is something else");
  return { raw, report };
}

/** No program is there, or it does not speak HTTP, or it refuses us. */
function faultOf(url: URL, cause: unknown, late: boolean): TimeoutError | AddressError {
  const action = `Cannot read statistics from "${url}"`;
  if (late) {
    const text = `${action}: there was no answer within ${TIMEOUT_MS} ms`;
    return new TimeoutError("ERR_READ_TIMEOUT", text, { cause });
  }
  // The platform tells these apart by their texts alone.
  const why = cause instanceof Error ? `${cause.message} ${cause.cause}` : "";
  if (/port \d+ are blocked/.test(why)) {
    return new AddressError("ERR_ADDRESS_INVALID", `${action}: no HTTP client asks that port`, {
      cause,
    });
  }
  if (!/\(Connect\)/.test(why)) return notStatistics(url, "what answers there does not speak HTTP");
  return new AddressError("ERR_CONNECT_REFUSED", `${action}: no program answers there`, { cause });
}

async function readBounded(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) {
      throw notStatistics(response.url, `the answer is over ${MAX_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

function notStatistics(url: URL | string, why: string): AddressError {
  return new AddressError("ERR_NOT_OUR_PROTOCOL", `Cannot read statistics from "${url}": ${why}`);
}
