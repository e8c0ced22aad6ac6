// Wraps comments that are too wide: `deno run -A tools/wrap_comments.ts [FILE …]`.

import { findFiles, ROOT } from "./source_files.ts";
import { commentsOnly } from "./source_text.ts";

/** A line of a comment that is no prose: code, a table, a drawing. */
const VERBATIM = /^\s{4,}\S|^\s*[|│┌├└─]|^\s*(?:#|<)|^deno-|^@ts-/;

/** A command in a comment of lines, where code has no fences. */
const COMMAND = /^\s{2,}\S/;

/** Where a paragraph begins although no empty line is before it. */
const ITEM = /^\s*(?:[-*]|\d+\.)\s|^@\w+/;

/** Words that would mean something else at the beginning of a line. */
const NO_BEGINNING = /^(?:[-*+|]|#+|\d{1,3}\.)$|^@(?!default)/;

/** Text that stays on one line. */
const ATOM = /[^\s{]*\{@\w+ [^}]*\}\S*|@default \{[^}]*\}\S*|\S+/g;

/** One comment that has its lines for itself. */
interface Comment {
  /** Index of the line behind its last. */
  readonly to: number;
  /** What each of its lines begins with. */
  readonly head: string;
  readonly text: readonly string[];
  readonly isBlock: boolean;
}

/** The most columns of a comment, and where wrapping aims at. */
const MAX_COLUMNS = 110;
const COLUMNS = 100;

/** The most lines of a file: one that would pass it is wrapped as wide as may be. */
const MAX_LINES = 400;

/**
 * The source with its comments wrapped. Paragraphs without a line of more than 110 columns stay as
 * they are, and so do code, tables, drawings, and comments behind code.
 */
export function wrapComments(source: string): string {
  const wrapped = wrapAt(source, COLUMNS);
  return wrapped.split("\n").length > MAX_LINES ? wrapAt(source, MAX_COLUMNS) : wrapped;
}

function wrapAt(source: string, columns: number): string {
  const lines = source.split("\n");
  const hasCode = commentsOnly(source).split("\n").map((line) => line.includes("¦"));
  const wrapped: string[] = [];
  for (let at = 0; at < lines.length;) {
    const comment = hasCode[at] ? null : readComment(lines, at);
    const end = comment?.to ?? at + 1;
    const own = lines.slice(at, end);
    const isWide = own.some((line) => line.length > MAX_COLUMNS);
    wrapped.push(...comment !== null && isWide ? writeComment(comment, columns) : own);
    at = end;
  }
  return wrapped.join("\n");
}

/** The comment that begins in the line at `from`; `null` when none does that ends within its own lines. */
function readComment(lines: readonly string[], from: number): Comment | null {
  const [, indent, mark] = lines[from]!.match(/^(\s*)(\/\*\*|\/\/)(?=\s|$)/) ?? [];
  if (indent === undefined) return null;
  if (mark === "//") {
    const head = `${indent}//`;
    let to = from;
    while (lines[to]?.startsWith(head) && lines[to]![head.length] !== "/") to += 1;
    const text = lines.slice(from, to).map((line) => line.slice(head.length + 1));
    return { to, head, text, isBlock: false };
  }
  let to = from;
  while (!lines[to]!.trimEnd().endsWith("*/")) to += 1;
  to += 1;
  const inner = lines.slice(from, to).join("\n").trim().slice(3, -2);
  const text = inner.split("\n").map((line) => line.replace(/^\s*\* ?/, "").trimEnd());
  if (text[0]?.trim() === "") text.shift();
  if (text.at(-1)?.trim() === "") text.pop();
  text[0] = text[0]!.trim();
  return { to, head: `${indent} *`, text, isBlock: true };
}

function writeComment({ head, text, isBlock }: Comment, columns: number): string[] {
  const body = paragraphs(text, isBlock).flatMap(({ lines, isProse }) => {
    const isWide = lines.some((line) => head.length + 1 + line.length > MAX_COLUMNS) ||
      isBlock && text.length === 1;
    return isProse && isWide ? wrapParagraph(lines, columns - head.length - 1) : lines;
  }).map((line) => line === "" ? head : `${head} ${line}`);
  if (!isBlock) return body;
  const indent = head.slice(0, -2);
  return [`${indent}/**`, ...body, `${indent} */`];
}

/** Lines that belong together; what is no prose is alone in its line. */
interface Paragraph {
  readonly lines: string[];
  readonly isProse: boolean;
}

function paragraphs(text: readonly string[], isBlock: boolean): Paragraph[] {
  const found: Paragraph[] = [];
  let isCode = false;
  for (const line of text) {
    const isFence = line.trimStart().startsWith("```");
    const last = found.at(-1);
    const isItem = ITEM.test(line);
    const isCommand = !isBlock && COMMAND.test(line) &&
      !(last?.isProse && ITEM.test(last.lines[0]!));
    const isProse =
      !(isCode || isFence || isCommand || line.trim() === "" || VERBATIM.test(line) && !isItem);
    const goesOn = isProse && last?.isProse && !isItem && !endsEarly(last.lines.at(-1)!, line);
    if (goesOn) last.lines.push(line);
    else found.push({ lines: [line], isProse });
    if (isFence) isCode = !isCode;
  }
  return found;
}

/** Whether a sentence ends in `line` although more would have fit: the next one is a remark of its own. */
function endsEarly(line: string, next: string): boolean {
  return /[.:;]$/.test(line) && line.length + 1 + next.split(" ")[0]!.length <= 90;
}

function wrapParagraph(lines: readonly string[], columns: number): string[] {
  const marker = lines[0]!.match(/^\s*(?:(?:[-*]|\d+\.)\s+)?/)![0];
  const hanging = " ".repeat(marker.length);
  const words = lines.join(" ").slice(marker.length).match(ATOM) ?? [];
  const wrapped: string[] = [];
  let line = marker;
  let isEmpty = true;
  for (const word of words) {
    const isTag = word.startsWith("@default") && !isEmpty;
    const fits = isEmpty || line.length + 1 + word.length <= columns;
    if (!isTag && (fits || NO_BEGINNING.test(word))) {
      line += isEmpty ? word : ` ${word}`;
    } else {
      wrapped.push(line);
      line = hanging + word;
    }
    isEmpty = false;
  }
  return [...wrapped, line];
}

if (import.meta.main) {
  const made = "tools/registry/";
  const paths = Deno.args.length > 0
    ? Deno.args
    : findFiles(".ts").filter((path) => !path.startsWith(made));
  for (const path of paths) {
    const file = new URL(path, ROOT);
    const source = Deno.readTextFileSync(file);
    const wrapped = wrapComments(source);
    if (wrapped !== source) Deno.writeTextFileSync(file, wrapped);
  }
}
