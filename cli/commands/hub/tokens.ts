// TokenList: who may join a hub, from lines of identities and tokens.
import { createHash } from "node:crypto";
import { sameToken } from "../../../wire/mod.ts";
import { checkName, checkToken } from "../../../wire/protocol/frames.ts";

/** Least characters of a token; as those of a passphrase. */
export const MIN_TOKEN_CHARACTERS = 16;

const HASH = /^sha256:([0-9a-f]{64})$/;

/** Tokens by identity; only their hashes are kept. */
export class TokenList {
  readonly #digests: ReadonlyMap<string, readonly string[]>;

  private constructor(digests: ReadonlyMap<string, readonly string[]>) {
    this.#digests = digests;
  }

  /**
   * Reads lines of an identity and its token, or `sha256:` and the hash of its token in hex. An identity may
   * have several lines, while its token is replaced. Empty lines and those that start with `#` are left out.
   *
   * @param name What the lines are from, for messages
   * @throws {RangeError} when a line is none of these; the text holds no token
   */
  static parse(text: string, name: string): TokenList {
    const digests = new Map<string, string[]>();
    for (const [index, line] of text.split("\n").entries()) {
      const words = line.trim().split(/\s+/);
      if (words[0] === "" || words[0]!.startsWith("#")) continue;
      const complain = (what: string): never => {
        throw new RangeError(`Cannot read the tokens "${name}", line ${index + 1}: ${what}`);
      };
      const [identity = "", token = "", more] = words;
      if (token === "" || more !== undefined) complain("a line is an identity and its token");
      const digest = token.startsWith("sha256:") ? HASH.exec(token)?.[1] : digestOf(token);
      if (digest === undefined) {
        complain('behind "sha256:" there must be 64 hex digits in lower case');
      }
      if ([...token].length < MIN_TOKEN_CHARACTERS) {
        complain(`a token must have ${MIN_TOKEN_CHARACTERS} characters or more`);
      }
      try {
        checkName("", "identity", identity);
        checkToken("", token);
      } catch {
        complain("the identity must be printable ASCII, and neither longer than a session allows");
      }
      digests.set(identity, [...digests.get(identity) ?? [], digest!]);
    }
    if (digests.size === 0) {
      throw new RangeError(`Cannot read the tokens "${name}": there must be one`);
    }
    return new TokenList(digests);
  }

  /** One token for all, under the identity "". */
  static shared(token: string): TokenList {
    return new TokenList(new Map([["", [digestOf(token)]]]));
  }

  /**
   * Whether a token is one of an identity's; its time shows neither how much of it was right nor whether the
   * identity is known.
   */
  allows(identity: string, token: string): boolean {
    const digest = digestOf(token);
    const wanted = this.#digests.get(identity) ?? [NOBODYS];
    let right = false;
    for (const one of wanted) right = sameToken(digest, one) || right;
    return right;
  }
}

/** No token has this hash. */
const NOBODYS = "-".repeat(64);

/** SHA-256 of a text, in hex. */
export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
