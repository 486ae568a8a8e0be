/**
 * Where inline marks of Markdown begin and end: emphasis, code, links. Pure text, no DOM.
 */

const LINK =
  /\[([^\]\n]{1,500})\]\(<?(https?:\/\/[^)\s>]{1,2000}|mailto:[^)\s>]{1,300})>?(?:\s+"[^"\n]{0,300}")?\)/y;
const AUTOLINK = /<(https?:\/\/[^<>\s]{1,2000})>/y;
const BEGUN = /\[([^\]\n]{1,500})\]\((?:h[^)\s]{0,2000})?$/y;
const MARK = /`+|\*{1,3}|_{1,3}|~~/y;

/** Whatever may begin something other than plain text. */
export const SPECIAL = /[\\`*_[<]|~~| {2,}\n/g;

/**
 * @param {string} text
 * @param {number} at
 * @returns {string} the mark at this place, or ""
 */
export function markAt(text, at) {
  MARK.lastIndex = at;
  return MARK.exec(text)?.[0] ?? "";
}

/**
 * @param {string} text
 * @param {number} at
 * @param {boolean} open more text may follow: a link whose address is still coming counts
 * @returns {{label: string, url: string | null, end: number} | null} a link to the web or a mailbox
 */
export function linkAt(text, at, open) {
  for (const pattern of open ? [LINK, AUTOLINK, BEGUN] : [LINK, AUTOLINK]) {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (!found) continue;
    const url = pattern === BEGUN ? null : (found[2] ?? found[1] ?? "");
    return { label: found[1] ?? "", url, end: pattern.lastIndex };
  }
  return null;
}

/**
 * @param {string} text
 * @param {number} at
 * @param {string} mark
 */
export function opensEmphasis(text, at, mark) {
  const after = text[at + mark.length] ?? " ";
  const before = text[at - 1] ?? " ";
  return /\S/.test(after) && (mark[0] !== "_" || !/[\p{L}\p{N}]/u.test(before));
}

/**
 * @param {string} text
 * @param {string} mark
 * @param {number} from
 * @returns {number} where the closing mark begins, or -1
 */
export function closingMark(text, mark, from) {
  return mark[0] === "`" ? closingTicks(text, mark, from) : closingEmphasis(text, mark, from);
}

/**
 * @param {string} text
 * @param {string} mark
 * @param {number} from
 */
function closingEmphasis(text, mark, from) {
  const char = mark.charAt(0);
  for (let at = text.indexOf(mark, from + 1); at >= 0; at = text.indexOf(mark, at + 1)) {
    let run = mark.length;
    while (text[at + run] === char) run++;
    const fits = run === mark.length || (run === 3 && mark.length < 3);
    const ends = /\S/.test(text[at - 1] ?? " ") && text[at - 1] !== "\\";
    const inWord = char === "_" && /[\p{L}\p{N}]/u.test(text[at + run] ?? " ");
    if (fits && ends && !inWord) return at + run - mark.length;
    at += run - 1;
  }
  return -1;
}

/**
 * @param {string} text
 * @param {string} ticks
 * @param {number} from
 */
function closingTicks(text, ticks, from) {
  for (let at = text.indexOf(ticks, from); at >= 0; at = text.indexOf(ticks, at + 1)) {
    let run = ticks.length;
    while (text[at + run] === "`") run++;
    if (run === ticks.length) return at;
    at += run - 1;
  }
  return -1;
}
