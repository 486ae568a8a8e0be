/**
 * A question and the shown version of its answer, with the switch between versions.
 */
import { AnswerView } from "./answer_view.js";
import { element, iconButton } from "./element.js";

/** @import {Surroundings} from "./answer_view.js" */
/** @import {Exchange} from "./exchange.js" */
/** @import {Turn} from "./turn.js" */

export class ExchangeView {
  node = element("section", { class: "exchange" });
  /** @type {Map<Turn, AnswerView>} one per version met, so that each keeps its state */
  #views = new Map();
  #count = element("span");
  #earlier = iconButton("left", "Earlier answer", "version-earlier", () => this.#step(-1));
  #later = iconButton("right", "Later answer", "version-later", () => this.#step(1));
  #switch = element(
    "div",
    {
      class: "version-switch",
      role: "group",
      "aria-label": "Versions of this answer",
      "data-testid": "version-switch",
    },
    this.#earlier,
    this.#count,
    this.#later,
  );
  #exchange;
  #surroundings;

  /**
   * @param {Exchange} exchange
   * @param {Surroundings} surroundings
   */
  constructor(exchange, surroundings) {
    this.#exchange = exchange;
    this.#surroundings = surroundings;
    const question = element(
      "div",
      { class: "question", "data-testid": "message-user" },
      exchange.question,
    );
    this.node.append(element("h2", { class: "visually-hidden" }, "You asked"), question);
    exchange.addEventListener("change", () => this.#show());
    this.#show();
  }

  /** @param {number} by */
  #step(by) {
    this.#exchange.show(this.#exchange.index + by);
  }

  #show() {
    const { shown, index, count } = this.#exchange;
    const focused = document.activeElement;
    let view = this.#views.get(shown);
    if (!view) {
      view = new AnswerView(shown, this.#surroundings);
      this.#views.set(shown, view);
    }
    this.node.querySelector(".answer")?.remove();
    this.node.append(view.node);
    this.#count.textContent = `${index + 1} of ${count}`;
    if (count < 2) return;
    view.actions.append(this.#switch);
    this.#earlier.disabled = index === 0;
    this.#later.disabled = index === count - 1;
    if (focused === this.#earlier || focused === this.#later) {
      (index === 0 ? this.#later : this.#earlier).focus();
    }
  }
}
