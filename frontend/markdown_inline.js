/**
 * Inline Markdown as DOM nodes: code, emphasis, links to the web, line breaks. Everything else
 * stays the text it is. Takes linear time, whatever the text.
 */
import { element } from "./element.js";
import { closingMark, linkAt, markAt, opensEmphasis, SPECIAL } from "./markdown_marks.js";

const DEEPEST = 6;
const ESCAPABLE = /[!-/:-@[-`{-~]/;
/** As the server's sanitiser writes them, so that nothing changes when its HTML arrives. */
const LINK = { target: "_blank", rel: "noopener noreferrer nofollow" };

/**
 * @param {Node} parent
 * @param {string} text
 * @param {boolean} open more text may follow: an unclosed `**` or backtick already counts
 */
export function appendInline(parent, text, open = false) {
  new InlineReader(parent, text, open, 0).read();
}

class InlineReader {
  /** Marks known to have no closer further on; to look again would cost quadratic time. */
  #hopeless = new Set();
  #plain = "";
  #at = 0;
  #parent;
  #text;
  #open;
  #depth;

  /**
   * @param {Node} parent
   * @param {string} text
   * @param {boolean} open
   * @param {number} depth
   */
  constructor(parent, text, open, depth) {
    this.#parent = parent;
    this.#text = text;
    this.#open = open;
    this.#depth = depth;
  }

  read() {
    while (this.#at < this.#text.length) {
      SPECIAL.lastIndex = this.#at;
      const special = this.#depth < DEEPEST ? SPECIAL.exec(this.#text) : null;
      this.#take((special?.index ?? this.#text.length) - this.#at);
      if (special) this.#readSpecial(special[0]);
    }
    this.#flush();
  }

  /** @param {string} special what was found at the reader's place */
  #readSpecial(special) {
    const after = this.#text[this.#at + 1] ?? "";
    if (special[0] === " " || (special === "\\" && after === "\n")) {
      return this.#put(element("br"), this.#at + Math.max(special.length, 2));
    }
    if (special === "\\" && ESCAPABLE.test(after)) {
      this.#at++;
      return this.#take(1);
    }
    const link =
      special === "[" || special === "<" ? linkAt(this.#text, this.#at, this.#open) : null;
    if (link) {
      const anchor = element("a", { href: link.url, ...LINK });
      new InlineReader(anchor, link.label, false, DEEPEST).read();
      return this.#put(anchor, link.end);
    }
    const mark = markAt(this.#text, this.#at);
    if (mark[0] === "`") this.#readCode(mark);
    else if (mark) this.#readEmphasis(mark);
    else this.#take(1);
  }

  /** @param {string} ticks */
  #readCode(ticks) {
    const start = this.#at + ticks.length;
    const end = this.#closer(ticks, start);
    if (end < 0 && !this.#open) return this.#take(ticks.length);
    const until = end < 0 ? this.#text.length : end;
    const code = this.#text.slice(start, until).replace(/\n/g, " ");
    const padded = /^ .*[^ ].* $/.test(code);
    this.#put(element("code", {}, padded ? code.slice(1, -1) : code), until + ticks.length);
  }

  /** @param {string} mark */
  #readEmphasis(mark) {
    const start = this.#at + mark.length;
    const opens = opensEmphasis(this.#text, this.#at, mark);
    const end = opens ? this.#closer(mark, start) : -1;
    const hopeful = this.#open && opens && mark === "**";
    if (end < 0 && !hopeful) return this.#take(mark.length);
    const until = end < 0 ? this.#text.length : end;
    const inner = element(mark === "~~" ? "s" : mark.length === 1 ? "em" : "strong");
    const text = this.#text.slice(start, until);
    new InlineReader(inner, text, end < 0, this.#depth + 1).read();
    this.#put(mark.length === 3 ? element("em", {}, inner) : inner, until + mark.length);
  }

  /**
   * @param {string} mark
   * @param {number} from
   */
  #closer(mark, from) {
    if (this.#hopeless.has(mark)) return -1;
    const found = closingMark(this.#text, mark, from);
    if (found < 0) this.#hopeless.add(mark);
    return found;
  }

  /** @param {number} length of the plain text to take */
  #take(length) {
    this.#plain += this.#text.slice(this.#at, this.#at + length);
    this.#at += length;
  }

  /**
   * @param {HTMLElement} node
   * @param {number} next
   */
  #put(node, next) {
    this.#flush();
    this.#parent.appendChild(node);
    this.#at = next;
  }

  #flush() {
    if (this.#plain) this.#parent.appendChild(document.createTextNode(this.#plain));
    this.#plain = "";
  }
}
