/**
 * The one place where markup from the server enters the page: the sanitised rendering of a
 * finished answer. It is sanitised a second time where the browser can, parsed inertly where not.
 */
import { frameCode } from "./code_block.js";
import { morph } from "./morph.js";

/** @typedef {HTMLElement & {setHTML?: (html: string, options?: object) => void}} Settable */

const KEPT_ATTRIBUTES = ["class", "href", "target", "rel", "start"];
const CHARACTERS_A_FRAME = 6000;

/**
 * @param {string} html
 * @returns {HTMLElement}
 */
function parse(html) {
  /** @type {Settable} */
  const holder = document.createElement("div");
  if (holder.setHTML) holder.setHTML(html, { sanitizer: { attributes: KEPT_ATTRIBUTES } });
  else holder.append(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  frameCode(holder);
  // Line breaks between blocks mean nothing, and the streamed blocks have none.
  for (const block of [
    holder,
    ...holder.querySelectorAll("ul, ol, li, blockquote, table, thead, tbody, tr"),
  ]) {
    for (const node of [...block.childNodes]) {
      if (node instanceof Text && !node.data.trim() && node.data.includes("\n")) node.remove();
    }
  }
  return holder;
}

export class FinalHtml {
  /** @type {Generator<number, void> | null} */
  #steps = null;
  #root;
  #html;

  /**
   * @param {HTMLElement} root holding what was shown while streaming
   * @param {string} html
   */
  constructor(root, html) {
    this.#root = root;
    this.#html = html;
  }

  /**
   * Put the next pieces in the place of the streamed ones.
   * @param {number} deadline as of performance.now()
   * @returns {boolean} whether all are in place
   */
  render(deadline) {
    this.#steps ??= morph(this.#root, parse(this.#html));
    let characters = 0;
    do {
      const step = this.#steps.next();
      if (step.done) return true;
      characters += step.value;
    } while (characters < CHARACTERS_A_FRAME && performance.now() < deadline);
    return false;
  }
}
