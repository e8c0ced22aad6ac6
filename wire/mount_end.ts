// The end of a mounted wire: how long it takes by default, and what of it is a fault.

/** A session of the mount. */
interface ClosableLink {
  /** Resolves when the session has ended, with why. */
  readonly closed: Promise<unknown>;
  /** Closes the session in order. */
  close(timeoutMs: number): Promise<void>;
}

/** Time that open streams and handlers get by default, in ms. */
export const CLOSE_MS = 10_000;

/** Closes sessions, all at once; returns the error of those that could not end in order. */
export async function closeLinks(
  links: readonly ClosableLink[],
  timeoutMs: number,
): Promise<AggregateError | undefined> {
  const results = await Promise.all(links.map((link) => closeLink(link, timeoutMs)));
  const errors = results.filter((error) => error !== undefined);
  if (errors.length === 0) return undefined;
  const text = `Cannot close in order: ${errors.length} of ${links.length} sessions failed`;
  return new AggregateError(errors, text);
}

/**
 * Closes a session; returns why it could not end in order. That its peer left meanwhile is no fault of the
 * close: `onClose` reports it.
 */
async function closeLink(link: ClosableLink, timeoutMs: number): Promise<unknown> {
  try {
    await link.close(timeoutMs);
    return undefined;
  } catch (error) {
    return error === await link.closed ? undefined : error;
  }
}
