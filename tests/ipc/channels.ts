// Channels for tests: each in a folder of its own, gone after it; and what reads their results.
import { assertEquals, assertRejects } from "@std/assert";
import { ParleyError } from "../../errors.ts";
import type { IpcAddressOptions } from "../../ipc/endpoint/endpoint.ts";
import type { Logger } from "../../log/logger.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles } from "../support/wait.ts";

/** A logger that keeps its lines. */
export class MemoryLogger implements Logger {
  readonly lines: string[] = [];

  debug(message: string, fields?: Record<string, unknown>): void {
    this.lines.push(`debug ${message} ${JSON.stringify(fields ?? {})}`);
  }

  info(message: string, fields?: Record<string, unknown>): void {
    this.lines.push(`info ${message} ${JSON.stringify(fields ?? {})}`);
  }

  warn(message: string, fields?: Record<string, unknown>): void {
    this.lines.push(`warn ${message} ${JSON.stringify(fields ?? {})}`);
  }

  error(message: string, fields?: Record<string, unknown>): void {
    this.lines.push(`error ${message} ${JSON.stringify(fields ?? {})}`);
  }
}

/** A channel of a test. */
export class Channel implements AsyncDisposable {
  readonly #dir = new TempDir();
  /** Where it logs. */
  readonly logger: MemoryLogger = new MemoryLogger();

  /** Options of both sides. */
  get options(): IpcAddressOptions & { logger: Logger } {
    return { name: "test", path: this.path, logger: this.logger };
  }

  /** Path of the socket. */
  get path(): string {
    return `${this.#dir.path}/test.sock`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** The text of some bytes. */
export function text(data: Uint8Array | undefined): string {
  return new TextDecoder().decode(data);
}

/** Runs what must fail with this code, and soon. */
export async function assertCode(
  code: string,
  run: () => Promise<unknown>,
  what?: string,
): Promise<void> {
  const error = await settles(what ?? code, assertRejects(run, ParleyError, undefined, what));
  assertEquals(error.code, code, what);
}
