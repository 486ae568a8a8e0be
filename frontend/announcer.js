/**
 * Says what happened: to screen readers at boundaries only, never token by token; to everyone
 * when something went wrong that has no place of its own.
 */
import { element } from "./element.js";

const SHOWN_MS = 8000;

export class Announcer {
  /** @type {number | undefined} */
  #timer;
  #region;
  #notice;

  /**
   * @param {HTMLElement} region polite live region, not visible
   * @param {HTMLElement} notice visible, for a while
   */
  constructor(region, notice) {
    this.#region = region;
    this.#notice = notice;
  }

  /** @param {string} sentence */
  say(sentence) {
    if (sentence) this.#region.replaceChildren(element("p", {}, sentence));
  }

  /** @param {string} sentence */
  show(sentence) {
    this.say(sentence);
    this.#notice.textContent = sentence;
    this.#notice.hidden = false;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      this.#notice.hidden = true;
    }, SHOWN_MS);
  }
}
