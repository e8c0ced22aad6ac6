// Rules: who may open which stream to whom at a hub; without a rule no client may open any.
import { UsageError } from "../../command/usage.ts";

/** Three patterns; `*` in one stands for any characters. */
export interface Rule {
  /** Who opens the stream. */
  readonly from: string;
  /** Whom it is for. */
  readonly to: string;
  /** Its name; that of a tunnel is `tcp:` and what `expose` calls it. */
  readonly name: string;
}

/**
 * Reads `FROM:TO:NAME`, as it is typed; the name may have colons of its own.
 *
 * @throws {UsageError} when it is none
 */
export function parseRule(text: string): Rule {
  const [, from, to, name] = /^([^:\s]+):([^:\s]+):(\S+)$/.exec(text) ?? [];
  if (from === undefined || to === undefined || name === undefined) {
    throw new UsageError(
      `Option "--allow" is FROM:TO:NAME, such as home:office:tcp:web, not "${text}"`,
    );
  }
  return { from, to, name };
}

/**
 * Reads lines of `FROM TO NAME`. Empty lines and those that start with `#` are left out.
 *
 * @param file What the lines are from, for messages
 * @throws {RangeError} when a line is none
 */
export function parseRules(text: string, file: string): Rule[] {
  const rules: Rule[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const [from = "", to, name, more] = line.trim().split(/\s+/);
    if (from === "" || from.startsWith("#")) continue;
    if (to === undefined || name === undefined || more !== undefined) {
      throw new RangeError(
        `Cannot read the rules "${file}", line ${index + 1}: a line is FROM TO NAME`,
      );
    }
    rules.push({ from, to, name });
  }
  return rules;
}

/** Whether a rule lets `from` open the stream `name` to `to`. */
export function isAllowed(rules: readonly Rule[], asked: Rule): boolean {
  return rules.some((rule) =>
    matches(rule.from, asked.from) && matches(rule.to, asked.to) && matches(rule.name, asked.name)
  );
}

/** Whether a rule lets `from` open any stream to `to`. */
export function isAnyAllowed(rules: readonly Rule[], asked: Omit<Rule, "name">): boolean {
  return rules.some((rule) => matches(rule.from, asked.from) && matches(rule.to, asked.to));
}

/** Whether a text is as its pattern says, in time that is bounded by both lengths multiplied. */
export function matches(pattern: string, text: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
