/**
 * One question and every version of its answer, oldest first; one version is shown.
 * Emits "change" when a version comes, goes, or another one is shown.
 */

/** @import {Turn} from "./turn.js" */

export class Exchange extends EventTarget {
  #shown = 0;
  /** @type {Turn[]} */
  #versions;

  /** @param {Turn} turn */
  constructor(turn) {
    super();
    this.#versions = [turn];
  }

  get question() {
    return this.shown.question;
  }
  get count() {
    return this.#versions.length;
  }
  get index() {
    return this.#shown;
  }
  get shown() {
    return /** @type {Turn} */ (this.#versions[this.#shown]);
  }

  /** @param {string} id */
  has(id) {
    return this.#versions.some((turn) => turn.id === id);
  }

  /**
   * Add a version and show it.
   * @param {Turn} turn
   */
  add(turn) {
    this.#versions.push(turn);
    this.show(this.count - 1);
  }

  /**
   * Put a new attempt in the place of one that the server never began.
   * @param {Turn} refused
   * @param {Turn} turn
   */
  swap(refused, turn) {
    this.#versions = this.#versions.map((version) => (version === refused ? turn : version));
    this.dispatchEvent(new Event("change"));
  }

  /** @param {number} index of the version, from 0 */
  show(index) {
    if (index < 0 || index >= this.count) return;
    this.#shown = index;
    this.dispatchEvent(new Event("change"));
  }
}
