// Reads TypeScript just closely enough to tell code from comments and texts.

/** A comment, a text, a template or a regular expression, whichever begins first. */
const TOKEN =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|(?<=[(,=:[!&|?{};]\s*|\breturn\s+)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/[a-z]*/g;

/** One import or re-export. */
export interface ImportStatement {
  /** What stands between the quotes. */
  readonly specifier: string;
  /** Whether it is gone at run time: `import type`, `export type`. */
  readonly typeOnly: boolean;
}

/** The source without its comments, texts kept. */
export function withoutComments(source: string): string {
  return source.replace(
    TOKEN,
    (token) => token.startsWith("/*") || token.startsWith("//") ? " " : token,
  );
}

/** The source without comments, texts and regular expressions: names, numbers and signs only. */
export function codeOnly(source: string): string {
  return source.replace(TOKEN, (token) => {
    // What a template computes is code.
    if (token.startsWith("`")) {
      return [...token.matchAll(/\$\{([^}]*)\}/g)].map((match) => match[1]).join(";");
    }
    return token.startsWith("/") ? " " : '""';
  });
}

/**
 * The words of the comments and nothing else: code becomes `¦`, so that all words stay in their
 * lines and columns. Marks of comments become spaces, and the rest is as {@linkcode proseOnly}
 * leaves it.
 */
export function commentsOnly(source: string): string {
  let prose = "";
  let end = 0;
  for (const { 0: token, index } of source.matchAll(TOKEN)) {
    if (!token.startsWith("/*") && !token.startsWith("//")) continue;
    prose += source.slice(end, index).replace(/\S/g, "¦") + wordsOf(token);
    end = index + token.length;
  }
  return prose + source.slice(end).replace(/\S/g, "¦");
}

/** One comment without its marks, in the same columns. */
function wordsOf(comment: string): string {
  return proseOnly(
    comment.replace(/^\/(?:\/|\*+)|^[ \t]*\*+(?!\/)|\*+\/$/gm, (marks) => " ".repeat(marks.length)),
  );
}

/** A block of code with its fences, code within a line, or the target of a link. */
const NO_PROSE =
  /^([ \t]*)```[\s\S]*?^[ \t]*```|`[^`]*`|\{@link\w* [^}]*\}|(?<=\])\([^)]*\)|https?:\/\/\S+/gm;

/**
 * Markdown without its code and addresses: within a line `·` takes their place; comments in blocks
 * of code stay.
 */
export function proseOnly(markdown: string): string {
  return markdown.replace(NO_PROSE, (code, indent?: string) => {
    if (indent === undefined) return code.replace(/\S/g, "·");
    return code.split("\n").map(commentOfLine).join("\n");
  });
}

/** What `//` or `#` says behind the code of one line, in the same columns. */
function commentOfLine(line: string): string {
  const start = line.search(/(?<=^|\s)(?:\/\/|#) /);
  if (start < 0) return " ".repeat(line.length);
  return " ".repeat(start + 2) + line.slice(start + 2);
}

/** All imports and re-exports of a module, dynamic ones with a constant specifier too. */
export function importsOf(source: string): ImportStatement[] {
  const code = withoutComments(source);
  const statements = /^\s*(?:import|export)\s+(type\s)?(?:[\w*{}\s,$]+?\sfrom\s+)?"([^"]+)"/gm;
  const calls = /\bimport\(\s*"([^"]+)"/g;
  return [
    ...[...code.matchAll(statements)].map((match) => ({
      specifier: match[2]!,
      typeOnly: !!match[1],
    })),
    ...[...code.matchAll(calls)].map((match) => ({ specifier: match[1]!, typeOnly: false })),
  ];
}
