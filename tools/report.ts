// How the tools of this repository report a failure.

/** Says on standard error what failed and ends the process with exit code 1. */
export function fail(message: string): never {
  console.error(message);
  Deno.exit(1);
}

/** Fails unless the files below `root` hold just these texts; `remedy` is the command that makes them. */
export function compareTexts(
  what: string,
  remedy: string,
  root: URL,
  texts: ReadonlyMap<string, string>,
): void {
  const stale: string[] = [];
  for (const [path, text] of texts) {
    if (readText(new URL(path, root)) !== text) stale.push(path);
  }
  if (stale.length > 0) {
    fail(`Out of step in ${what}: ${stale.join(", ")}\nRun: ${remedy}`);
  }
}

function readText(file: URL): string | undefined {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
