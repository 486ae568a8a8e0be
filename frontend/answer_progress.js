/**
 * Shows that a running turn is alive: thinking before the first token, the seconds after a
 * while, and still working when the model has gone quiet.
 */
import { element } from "./element.js";

/** @import {Turn} from "./turn.js" */

const SECONDS_SHOWN_AFTER = 4;
const QUIET_AFTER = 8;

export class AnswerProgress {
  node = element("p", { class: "progress" });
  #words = element("span");
  #heardAt = Date.now();
  /** @type {number | undefined} */
  #timer;
  #turn;

  /** @param {Turn} turn */
  constructor(turn) {
    this.#turn = turn;
    this.node.append(element("span", { class: "pulse", "aria-hidden": "true" }), this.#words);
  }

  start() {
    this.#turn.addEventListener("stopping", () => this.#show());
    this.#timer = window.setInterval(() => this.#show(), 1000);
    this.#show();
  }

  /** @param {HTMLElement} place where to go on: the text now stands where this stood */
  heard(place) {
    if (this.node.parentNode !== place) place.append(this.node);
    this.#heardAt = Date.now();
    this.#show();
  }

  stop() {
    clearInterval(this.#timer);
    this.node.remove();
  }

  #show() {
    const seconds = Math.floor((Date.now() - this.#turn.askedAt) / 1000);
    const quiet = (Date.now() - this.#heardAt) / 1000 >= QUIET_AFTER;
    const begun = this.#turn.text !== "";
    const words = this.#turn.stopping
      ? "Stopping…"
      : quiet
        ? "Still working…"
        : begun
          ? ""
          : "Thinking…";
    const timed = words && seconds >= SECONDS_SHOWN_AFTER ? `${words} ${seconds} s` : words;
    if (this.#words.textContent !== timed) this.#words.textContent = timed;
  }
}
