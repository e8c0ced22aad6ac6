// What the programs share: events as JSON lines, and commands as lines.
import { TextLineStream } from "@std/streams";

/** Reports an event to the test. */
export function tell(event: Record<string, unknown>): void {
  const line = new TextEncoder().encode(`${JSON.stringify(event)}\n`);
  let written = 0;
  while (written < line.length) written += Deno.stdout.writeSync(line.subarray(written));
}

/** Commands of the test, to the end of its interest. */
export function commands(): ReadableStream<string> {
  return Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
}

/** The code of an error. */
export function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}
