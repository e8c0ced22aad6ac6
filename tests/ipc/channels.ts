// Channels for tests: each in a folder of its own, gone after it.
import type { IpcAddressOptions } from "../../ipc/endpoint.ts";
import type { Logger } from "../../logger.ts";
import { TempDir } from "../support/temp_dir.ts";

/** A logger that keeps what it is told. */
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

  /** Options that both sides give. */
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
