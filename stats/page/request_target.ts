// targetOf(): which path a request asks for, and by which host name, whatever form its first line has.

/** What a request is for. */
export interface RequestTarget {
  /** Path without its query, such as `/healthz`. */
  readonly path: string;
  /** Host that the request names, with its port; `null` when it names none. */
  readonly host: string | null;
}

/** The whole URL that a request line may hold: its host, and what follows it. */
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)(.*)$/i;

/**
 * Returns what a request is for, or `null` when it has several `Host` headers (RFC 9112, 3.2): a proxy before
 * this page may have checked another one of them than we would, so that the request must get 400.
 *
 * A whole URL in the request line names the host by itself, and the `Host` header does not count (3.2.2).
 *
 * @param url The target of the request line, as it came
 * @param rawHeaders Names and values of the headers in turn, as `node:http` has them
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(targetOf("/metrics?x=1", ["Host", "localhost"]), { path: "/metrics", host: "localhost" });
 * assertEquals(targetOf("http://a.example:80", ["Host", "b"]), { path: "/", host: "a.example:80" });
 * assertEquals(targetOf("/healthz", []), { path: "/healthz", host: null });
 * assertEquals(targetOf("/", ["Host", "a", "host", "a"]), null);
 * ```
 */
export function targetOf(url: string, rawHeaders: readonly string[]): RequestTarget | null {
  const hosts = rawHeaders.filter((_, index) =>
    index % 2 === 1 && rawHeaders[index - 1]!.toLowerCase() === "host"
  );
  if (hosts.length > 1) return null;
  const [, named, rest = ""] = ABSOLUTE_FORM.exec(url) ?? [];
  if (named === undefined) return { path: withoutQuery(url), host: hosts[0] ?? null };
  const path = withoutQuery(rest);
  return { path: path === "" ? "/" : path, host: named };
}

function withoutQuery(target: string): string {
  return target.split(/[?#]/, 1)[0]!;
}
