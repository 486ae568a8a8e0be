/**
 * Finds where one block of Markdown begins and ends, so that text still streaming in can be
 * shown block by block. Knows the blocks that answers use; anything else is a paragraph.
 */

/** @typedef {"fence" | "heading" | "rule" | "quote" | "list" | "table" | "paragraph"} Kind */
/** `closed`: no further text can change it. `split`: a piece of a long list, which goes on.
 * @typedef {{kind: Kind, start: number, end: number, closed: boolean, split?: boolean}} Block */

const LONG_LIST = 2000;

export const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`\n]*)$/;
export const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
export const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
export const QUOTE = /^ {0,3}> ?/;
export const ITEM = /^( *)(?:([-*+])|(\d{1,9})[.)])(?:[ \t]+|$)/;
export const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
export const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;

/** @param {string} line */
const blank = (line) => line.trim() === "";

/**
 * @param {string} source
 * @param {number} from
 */
function lineAt(source, from) {
  const newline = source.indexOf("\n", from);
  const end = newline < 0 ? source.length : newline;
  return {
    text: source.slice(from, end),
    next: Math.min(end + 1, source.length),
    whole: newline >= 0,
  };
}

/**
 * @param {string} line
 * @param {string} following the line after it
 * @returns {Kind}
 */
function kindOf(line, following) {
  if (FENCE.test(line)) return "fence";
  if (HEADING.test(line)) return "heading";
  if (RULE.test(line)) return "rule";
  if (QUOTE.test(line)) return "quote";
  if (/^ {0,3}\S/.test(line) && ITEM.test(line)) return "list";
  if (line.includes("|") && following.includes("-") && DELIMITERS.test(following)) return "table";
  return "paragraph";
}

/**
 * May this line begin a block in the middle of a paragraph?
 * @param {string} line
 */
function interrupts(line) {
  const item = ITEM.exec(line);
  if (item) return !blank(line.slice(item[0].length)) && (item[3] ?? "1") === "1";
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);
}

/**
 * Does this line still belong to the block?
 * @param {Kind} kind
 * @param {string} first the block's first line
 * @param {string} line
 * @param {boolean} afterBlank
 */
function continues(kind, first, line, afterBlank) {
  if (kind === "list") {
    const item = RULE.test(line) ? null : ITEM.exec(line);
    // A bullet after numbers begins another list, and so do numbers after bullets.
    if (item) return item[1] !== "" || Boolean(item[2]) === Boolean(ITEM.exec(first)?.[2]);
    return /^(?: {2,}|\t)\S/.test(line) || (!afterBlank && !interrupts(line));
  }
  if (afterBlank) return false;
  if (kind === "quote") return QUOTE.test(line) || !interrupts(line);
  return kind === "table" ? !interrupts(line) : UNDERLINE.test(line) || !interrupts(line);
}

/**
 * The block that begins at or after `from`.
 * @param {string} source
 * @param {number} from
 * @returns {Block | null} null when only blank lines are left
 */
export function nextBlock(source, from) {
  let line = lineAt(source, from);
  while (blank(line.text)) {
    if (!line.whole) return null;
    from = line.next;
    line = lineAt(source, from);
  }
  const first = line.text;
  const kind = kindOf(first, lineAt(source, line.next).text);
  if (kind === "heading" || kind === "rule") {
    return { kind, start: from, end: line.next, closed: line.whole };
  }
  const fence = kind === "fence" ? (FENCE.exec(first)?.[1] ?? "") : "";
  let end = line.next;
  let afterBlank = false;
  while (line.whole && line.next < source.length) {
    line = lineAt(source, line.next);
    if (fence) {
      end = line.next;
      const text = line.text.trim();
      const closing = text.startsWith(fence) && text === fence.charAt(0).repeat(text.length);
      if (closing) return { kind, start: from, end, closed: line.whole };
    } else if (blank(line.text)) {
      if (kind !== "list") return { kind, start: from, end, closed: true };
      afterBlank = true;
    } else if (
      kind === "list" &&
      end - from > LONG_LIST &&
      ITEM.exec(line.text)?.[1] === "" &&
      continues(kind, first, line.text, true)
    ) {
      return { kind, start: from, end, closed: true, split: true };
    } else if (continues(kind, first, line.text, afterBlank)) {
      end = line.next;
      if (kind === "paragraph" && line.whole && UNDERLINE.test(line.text)) {
        return { kind, start: from, end, closed: true };
      }
      afterBlank = false;
    } else {
      return { kind, start: from, end, closed: true };
    }
  }
  return { kind, start: from, end, closed: false };
}
