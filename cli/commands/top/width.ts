// Widths of text on a terminal, near enough for a table: wide scripts and emoji take two columns, marks none.

const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]/u;
const NONE = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Columns that a text takes. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += columnsOfOne(character);
  return columns;
}

/** As much of a text as fits into some columns. */
export function cut(text: string, columns: number): string {
  if (text.length * 2 <= columns) return text;
  let left = columns;
  let end = 0;
  for (const character of text) {
    left -= columnsOfOne(character);
    if (left < 0) return text.slice(0, end);
    end += character.length;
  }
  return text;
}

/** A text with spaces behind it. */
export function padEnd(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - columnsOf(text)));
}

/** A text with spaces before it. */
export function padStart(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - columnsOf(text))) + text;
}

function columnsOfOne(character: string): number {
  if (character < "\u0300") return 1;
  return WIDE.test(character) ? 2 : NONE.test(character) ? 0 : 1;
}
