// HubAccess: decides who joins a hub and opens what, by files that may change while it runs.
import type { AuthorizeRequest, PresenceRequest } from "../../../wire/mod.ts";
import { FileWatcher, signFiles, systemClock } from "../../../tls/watch.ts";
import { readPrivateFile } from "../../process/private_file.ts";
import { isAllowed, isAnyAllowed, parseRules, type Rule } from "./rules.ts";
import { digestOf, TokenList } from "./tokens.ts";

/** Time between two looks at the files, in ms: who edits them does not wait long for it. */
const LOOK_EVERY_MS = 1000;

/** Time in ms that files may be unfit, as between two steps of an editor, before that is reported. */
const GRACE_MS = 2000;

/** What decides. */
export interface AccessSources {
  /** File of tokens by identity, or the one token of all. */
  readonly tokens: { readonly file: string } | { readonly shared: string };
  /** Rules that were typed. */
  readonly rules: readonly Rule[];
  /** File of further rules. */
  readonly rulesFile: string | undefined;
}

/** Functions that are called for each event. */
export interface AccessEvents {
  /** The files changed and are in force. */
  readonly onReload: () => void;
  /** The files changed and cannot be used: what was in force stays so. */
  readonly onUnfit: (error: unknown) => void;
  /** A client was refused. */
  readonly onRefused: (request: AuthorizeRequest) => void;
  /** A stream was asked for. */
  readonly onStream: (stream: Rule, allowed: boolean) => void;
}

/** What the files say. */
interface Loaded {
  /** Hash of their texts, which shows whether they changed. */
  readonly digest: string;
  readonly allows: (identity: string, token: string) => boolean;
  readonly rules: readonly Rule[];
}

/** What a {@linkcode HubAccess} starts with. */
interface Start {
  readonly loaded: Loaded;
  /** Files to watch, and which versions of them there were before they were read. */
  readonly files: readonly string[];
  readonly signature: string;
}

/** Who may join, and open what to whom. Disposing of it ends the watch over its files. */
export class HubAccess implements Disposable {
  readonly #sources: AccessSources;
  readonly #events: AccessEvents;
  readonly #watcher: FileWatcher | null;
  #loaded: Loaded;
  /** Tokens that sessions of an identity were let in with. */
  readonly #accepted = new Map<string, Set<string>>();

  private constructor(sources: AccessSources, events: AccessEvents, start: Start) {
    const { loaded, files, signature } = start;
    this.#sources = sources;
    this.#events = events;
    this.#loaded = loaded;
    this.#watcher = files.length === 0 ? null : new FileWatcher({
      files,
      intervalMs: LOOK_EVERY_MS,
      graceMs: GRACE_MS,
      clock: systemClock,
      reload: () => this.#reload(),
      onUnfit: events.onUnfit,
    }, signature);
  }

  /**
   * Reads the files and watches them.
   *
   * @throws {RangeError} when a file is not what it must be
   * @throws {AuthError} `ERR_FORBIDDEN` when others may read the tokens
   */
  static async open(sources: AccessSources, events: AccessEvents): Promise<HubAccess> {
    const files = await filesOf(sources);
    const signature = await signFiles(files, Date.now());
    return new HubAccess(sources, events, { loaded: await load(sources), files, signature });
  }

  /** Number of rules in force. */
  get rules(): number {
    return this.#loaded.rules.length;
  }

  /** Decides about a session or a stream. */
  authorize(request: AuthorizeRequest): boolean {
    const { kind, identity, token, to, name = "" } = request;
    if (!this.#loaded.allows(identity, token)) {
      this.#events.onRefused(request);
      return false;
    }
    if (kind === "session") {
      const accepted = this.#accepted.get(identity) ?? new Set();
      this.#accepted.set(identity, accepted.add(token));
      return true;
    }
    if (to === undefined) return false;
    const stream = { from: identity, to, name };
    const allowed = isAllowed(this.#loaded.rules, stream);
    this.#events.onStream(stream, allowed);
    return allowed;
  }

  /** Whether one may see that another is there: when it may open something to it. */
  visible({ identity, of }: PresenceRequest): boolean {
    return isAnyAllowed(this.#loaded.rules, { from: identity, to: of });
  }

  /** Whether the sessions of an identity would be let in again. */
  stillAllowed(identity: string): boolean {
    return [...this.#accepted.get(identity) ?? []].every((token) =>
      this.#loaded.allows(identity, token)
    );
  }

  /** Forgets an identity that has no session any more. */
  forget(identity: string): void {
    this.#accepted.delete(identity);
  }

  /** Reads the files anew, now. Never rejects. */
  async reload(): Promise<void> {
    try {
      await this.#reload();
    } catch (error) {
      this.#events.onUnfit(error);
    }
  }

  /** Ends the watch. */
  [Symbol.dispose](): void {
    this.#watcher?.close();
  }

  async #reload(): Promise<void> {
    const loaded = await load(this.#sources);
    const changed = loaded.digest !== this.#loaded.digest;
    this.#loaded = loaded;
    if (changed) this.#events.onReload();
  }
}

/** Files to watch: a pipe can be read once only. */
async function filesOf({ tokens, rulesFile }: AccessSources): Promise<string[]> {
  const files = [
    ...("file" in tokens ? [tokens.file] : []),
    ...(rulesFile === undefined ? [] : [rulesFile]),
  ];
  const isFile = await Promise.all(files.map(async (file) => (await Deno.stat(file)).isFile));
  return files.filter((_, index) => isFile[index]);
}

async function load({ tokens, rules, rulesFile }: AccessSources): Promise<Loaded> {
  const tokensText = "file" in tokens ? await readPrivateFile(tokens.file, "tokens") : "";
  const rulesText = rulesFile === undefined ? "" : await Deno.readTextFile(rulesFile);
  const list = "file" in tokens
    ? TokenList.parse(tokensText, tokens.file)
    : TokenList.shared(tokens.shared);
  return {
    digest: digestOf(`${digestOf(tokensText)} ${digestOf(rulesText)}`),
    allows: (identity, token) => list.allows("file" in tokens ? identity : "", token),
    rules: [...rules, ...parseRules(rulesText, rulesFile ?? "")],
  };
}
