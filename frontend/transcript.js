/**
 * The open conversation on the page: one view per exchange, or the welcome when there is none.
 */
import { copyFrom } from "./copying.js";
import { element } from "./element.js";
import { ExchangeView } from "./exchange_view.js";

/** @import {Surroundings} from "./answer_view.js" */
/** @import {Conversation} from "./conversation.js" */
/** @import {Exchange} from "./exchange.js" */
/** @import {Scroll} from "./scroll.js" */

export class Transcript {
  /** @type {AbortController | null} */
  #listening = null;
  #log;
  #welcome;
  #scroll;
  #surroundings;

  /**
   * @param {HTMLElement} log
   * @param {HTMLElement} welcome
   * @param {Scroll} scroll
   * @param {Surroundings} surroundings
   */
  constructor(log, welcome, scroll, surroundings) {
    this.#log = log;
    this.#welcome = welcome;
    this.#scroll = scroll;
    this.#surroundings = surroundings;
  }

  start() {
    this.#scroll.start();
    this.#log.addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("[data-copy]") : null;
      const code = button?.closest("figure")?.querySelector("pre")?.textContent;
      if (button instanceof HTMLElement && code)
        copyFrom(button, code, this.#surroundings.announcer);
    });
  }

  /**
   * @param {Conversation} conversation
   * @param {string} [instead] said in the place of its exchanges
   */
  show(conversation, instead) {
    this.#listening?.abort();
    this.#listening = new AbortController();
    this.#log.replaceChildren();
    for (const exchange of conversation.exchanges) this.#add(exchange);
    const { signal } = this.#listening;
    const add = (/** @type {Event} */ event) => {
      this.#add(/** @type {CustomEvent<Exchange>} */ (event).detail);
    };
    conversation.addEventListener("exchange", add, { signal });
    if (instead) this.#log.append(element("p", { class: "note", "data-kind": "failed" }, instead));
    this.#welcome.hidden = this.#log.childElementCount > 0;
    this.#scroll.toEnd();
  }

  /** @param {Exchange} exchange */
  #add(exchange) {
    this.#welcome.hidden = true;
    this.#log.querySelector(":scope > .note")?.remove();
    this.#log.append(new ExchangeView(exchange, this.#surroundings).node);
    this.#scroll.toEnd();
  }
}
