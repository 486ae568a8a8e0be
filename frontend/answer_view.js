/**
 * One answer on the page: its text while it streams and when it is finished, how it ended, and
 * what the reader can do with it.
 */

import { answerNote } from "./answer_note.js";
import { AnswerProgress } from "./answer_progress.js";
import { copyFrom } from "./copying.js";
import { element, iconButton } from "./element.js";
import { FeedbackView } from "./feedback_view.js";
import { FinalHtml } from "./final_html.js";
import { LiveMarkdown } from "./live_markdown.js";

/** @import {Announcer} from "./announcer.js" */
/** @import {Feedbacks} from "./feedbacks.js" */
/** @import {Painter} from "./painter.js" */
/** @import {Turn} from "./turn.js" */
/** What every answer on the page needs. @typedef {{painter: Painter, announcer: Announcer, feedbacks: Feedbacks,
 *   again(turn: Turn): void}} Surroundings */

export class AnswerView {
  node = element("article", {
    class: "answer",
    "data-testid": "message-assistant",
    "aria-label": "Answer",
  });
  /** The row of buttons under the answer. */
  actions = element("div", { class: "actions" });
  #text = element("div", { class: "prose", "data-testid": "answer" });
  #live = new LiveMarkdown(this.#text);
  /** @type {FinalHtml | null} */
  #final = null;
  #progress;
  #feedback;
  #turn;
  #surroundings;

  /**
   * @param {Turn} turn
   * @param {Surroundings} surroundings
   */
  constructor(turn, surroundings) {
    this.#turn = turn;
    this.#surroundings = surroundings;
    this.#progress = new AnswerProgress(turn);
    this.#feedback = new FeedbackView(
      turn,
      surroundings.feedbacks.of(turn.id),
      surroundings.announcer,
    );
    this.node.dataset.clientRequestId = turn.id;
    this.node.dataset.ending = "streaming";
    this.node.append(this.#text, this.#progress.node, this.actions, this.#feedback.panel);
    const copy = iconButton("copy", "Copy answer", "copy", () =>
      copyFrom(copy, turn.text, surroundings.announcer),
    );
    const again = iconButton("again", "Regenerate", "regenerate", () => surroundings.again(turn));
    this.actions.append(this.#feedback.thumbs, copy, again, this.#feedback.status);
    if (turn.running) this.#follow();
    else this.#finish();
  }

  #follow() {
    const { announcer } = this.#surroundings;
    const grow = () => {
      this.#progress.heard(this.actions);
      this.#live.update(this.#turn.text);
      this.#draw();
    };
    this.#progress.start();
    announcer.say("Answering…");
    if (this.#turn.text) grow();
    this.#turn.addEventListener("text", grow);
    this.#turn.addEventListener("end", () => {
      announcer.say(this.#finish() || "Answer finished.");
    });
  }

  /** @returns {string} how it ended, in words, if that needs any */
  #finish() {
    const { ending, traceId, html, text } = this.#turn;
    this.#progress.stop();
    if (traceId) this.node.dataset.traceId = traceId;
    if (html) this.#final = new FinalHtml(this.#text, html);
    else this.#live.update(text);
    const { words, node } = answerNote(this.#turn, () => this.#surroundings.again(this.#turn));
    if (node) this.actions.before(node);
    this.node.toggleAttribute("data-empty", text === "");
    this.#feedback.enable();
    this.#draw();
    // Said only when the text is in place as well.
    this.#surroundings.painter.schedule(() => {
      if (this.#drawing) return false;
      this.node.dataset.ending = ending;
      return true;
    });
    return words;
  }

  #drawing = false;

  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    this.#surroundings.painter.schedule((deadline) => {
      const drawn = this.#final?.render(deadline) ?? this.#live.render(deadline);
      this.#drawing = !drawn;
      return drawn;
    });
  }
}
