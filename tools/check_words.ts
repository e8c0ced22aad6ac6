// Checks that comments and docs speak plain English: the house words, and comments that fit the page.

import { fail } from "./report.ts";
import { findFiles, ROOT } from "./source_files.ts";
import { commentsOnly, proseOnly } from "./source_text.ts";

/** Words that readers trip over, with what to write in their place. */
interface WordRule {
  readonly word: RegExp;
  readonly instead: string;
  /** Phrases in which the word is right. */
  readonly allowed?: RegExp;
}

const RULES: readonly WordRule[] = [
  {
    word: /\b(?:whoever|(?:some|any|no|every)body|(?:some|any|every)one)\b/gi,
    instead: "the role: caller, peer, handler, client, source, user",
  },
  {
    word: /\b(?:to|for|of|one|those)\s+who\b/gi,
    instead: 'the role, with "that": the caller that waits',
  },
  {
    word: /\b(?:he|him|his|she|hers?)\b/gi,
    instead: '"it" or "its", or name the role again',
  },
  {
    word: /\b(?:gives?|gave|giving)\b/gi,
    instead: '"returns", "yields", "has", "sets", "passes" or "provides"',
    allowed:
      /\b(?:gives?|gave|giving)\s+(?:\S+\s+)?(?:up|back|way)\b|\bto\s+give\b|(?<=[.:;,(*"]\s*)give\b/gi,
  },
  {
    word: /\b(?:tells?|told|telling)\b/gi,
    instead: '"report", "announce", "log", "publish", "say" or "describe"',
    allowed: /\b(?:tells?|told|telling)\s+(?:\S+\s+){0,6}?(?:from|apart|truth)\b/gi,
  },
  {
    word: /\b(?:is|are|was|were)\s+to\s+be\b/gi,
    instead: '"must be", "may be", "should be" or "will be"',
  },
  { word: /\bof\s+now\b/gi, instead: '"current"' },
  { word: /\bof\s+old\b/gi, instead: '"old"' },
  {
    word: /\bhand(?:s|ed|ing)?\s+(?:(?:it|them|this|that)\s+)?over\b/gi,
    instead: '"pass", "deliver" or "write"',
  },
  { word: /\baskers?\b/gi, instead: '"caller" or "the side that asks"' },
  { word: /,\s+be\s+it\b/gi, instead: '"although" or "even if"' },
];

/** The most columns that a line with a comment may have; writers wrap at 100. */
const MAX_COLUMNS = 110;

/** One thing to mend. */
export interface WordFault {
  /** From 1. */
  readonly line: number;
  /** What is wrong, and what to write instead. */
  readonly text: string;
}

/** The faults of one file, whose text is TypeScript or Markdown by the ending of `path`, in their order. */
export function checkWords(path: string, text: string): WordFault[] {
  const isSource = path.endsWith(".ts");
  const prose = isSource ? commentsOnly(text) : proseOnly(text);
  const faults = RULES.flatMap((rule) => findWords(prose, rule));
  if (isSource) faults.push(...findLongLines(text, prose));
  return faults.sort((a, b) => a.line - b.line);
}

function findWords(prose: string, { word, instead, allowed }: WordRule): WordFault[] {
  const text = allowed === undefined
    ? prose
    : prose.replace(allowed, (phrase) => phrase.replace(/\S/g, " "));
  return [...text.matchAll(word)].map((match) => ({
    line: text.slice(0, match.index).split("\n").length,
    text: `"${match[0].replace(/\s+/g, " ")}": write ${instead}`,
  }));
}

/** Lines that may be long: a command in a comment of lines, a row of a table, an order for the linter. */
const UNBREAKABLE = /^\s*\/\/\s{3,}\S|^\s*(?:\*|\/\/)\s*\||\/\/ deno-lint-ignore/;

/**
 * Lines of a source with words of a comment that are too long; what cannot be broken, as an
 * address, may be.
 */
function findLongLines(source: string, prose: string): WordFault[] {
  const proseLines = prose.split("\n");
  return source.split("\n").flatMap((line, index) => {
    const words = proseLines[index]!.replaceAll("¦", "").trim();
    const fits = line.length <= MAX_COLUMNS || !words.includes(" ") || UNBREAKABLE.test(line);
    return fits ? [] : [{
      line: index + 1,
      text: `a comment of ${line.length} columns: wrap it at 100, at most ${MAX_COLUMNS}`,
    }];
  });
}

/** What is checked: every source and every page but the changelog, which quotes. */
function findTexts(): string[] {
  const made = "tools/registry/";
  return [...findFiles(".ts"), ...findFiles(".md")]
    .filter((path) => path !== "CHANGELOG.md" && !path.startsWith(made));
}

if (import.meta.main) {
  const faults = findTexts().flatMap((path) =>
    checkWords(path, Deno.readTextFileSync(new URL(path, ROOT)))
      .map(({ line, text }) => `${path}:${line}: ${text}`)
  );
  if (faults.length > 0) fail(`${faults.join("\n")}\n\n${faults.length} words or lines to mend`);
}
