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
  return source.replace(TOKEN, (token) => token.startsWith("/*") || token.startsWith("//") ? " " : token);
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

/** All imports and re-exports of a module, dynamic ones with a constant specifier too. */
export function importsOf(source: string): ImportStatement[] {
  const code = withoutComments(source);
  const statements = /^\s*(?:import|export)\s+(type\s)?(?:[\w*{}\s,$]+?\sfrom\s+)?"([^"]+)"/gm;
  const calls = /\bimport\(\s*"([^"]+)"/g;
  return [
    ...[...code.matchAll(statements)].map((match) => ({ specifier: match[2]!, typeOnly: !!match[1] })),
    ...[...code.matchAll(calls)].map((match) => ({ specifier: match[1]!, typeOnly: false })),
  ];
}
