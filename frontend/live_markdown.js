/**
 * Shows Markdown while it streams in. Finished blocks are built once and never touched again;
 * only the last, open block is brought up to date. A burst is shown over several frames.
 */
import { nextBlock } from "./markdown_blocks.js";
import { buildBlock } from "./markdown_builder.js";
import { morphNode } from "./morph.js";

/** At most this much new text per frame: more would take too long to lay out. */
const CHARACTERS_A_FRAME = 4000;
/** A block that takes long to build is built more rarely: its cost times this is left free. */
const REST = 4;
/** A line that has only just begun and may turn out to be a mark rather than text. */
const UNDECIDED = /(?:^|\n)[ \t]*(?:#{1,6}|[-*+=_]+|\d{1,3}[.)]?|>|`+|~+|\|[^\n]*)?[ \t]*$/;

export class LiveMarkdown {
  #source = "";
  #shown = 0;
  #stable = 0;
  #notBefore = 0;
  /** What shows the open block. @type {ChildNode[]} */
  #open = [];
  /** The list that the next block carries on. @type {Element | null} */
  #list = null;
  #root;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /** @param {string} source the whole text so far, which only ever grows */
  update(source) {
    this.#source = source;
  }

  /**
   * Show more of the text.
   * @param {number} deadline as of performance.now()
   * @returns {boolean} whether everything is shown
   */
  render(deadline) {
    const began = performance.now();
    if (began < this.#notBefore) return false;
    this.#shown = Math.min(this.#source.length, this.#shown + CHARACTERS_A_FRAME);
    const tail = this.#source.slice(Math.max(0, this.#shown - 200), this.#shown);
    const undecided = UNDECIDED.exec(tail)?.[0].trimStart() ?? "";
    const text = this.#source.slice(0, this.#shown - undecided.length);
    for (let block = nextBlock(text, this.#stable); block; block = nextBlock(text, this.#stable)) {
      this.#put(buildBlock(text, block));
      if (!block.closed) break;
      this.#stable = block.end;
      this.#open = [];
      this.#list = block.split ? this.#root.lastElementChild : null;
      if (performance.now() > deadline) return false;
    }
    this.#notBefore = performance.now() + (performance.now() - began) * REST;
    return this.#shown === this.#source.length;
  }

  /** @param {HTMLElement} node the open block's new shape */
  #put(node) {
    const fresh = this.#list ? [...node.childNodes] : [node];
    for (const old of this.#open.splice(fresh.length)) old.remove();
    for (const [index, next] of fresh.entries()) {
      const mine = this.#open[index];
      if (mine && become(mine, next)) continue;
      if (mine) mine.replaceWith(next);
      else (this.#list ?? this.#root).append(next);
      this.#open[index] = next;
    }
  }
}

/**
 * @param {Node} mine
 * @param {Node} wanted
 */
function become(mine, wanted) {
  const steps = morphNode(mine, wanted);
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value;
}
