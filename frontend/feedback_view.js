/**
 * The thumbs of one answer, what became of the verdict, and the panel that opens after a thumb.
 * The panel is a stack of sections; a comment is the first.
 */
import { CommentForm } from "./comment_form.js";
import { element, icon } from "./element.js";

/** @import {Announcer} from "./announcer.js" */
/** @import {Feedback} from "./feedback.js" */
/** @import {Turn} from "./turn.js" */

const WHY_NOT_YET = "You can rate this answer once it is finished and its trace is safe.";
const WHY_NEVER = "This answer has no trace, so it cannot be rated.";
const WORDS = {
  idle: "",
  sending: "Saving…",
  saved: "Saved",
  recorded: "Recorded in MLflow",
  retrying: "Not sent yet. Will retry",
  refused: "Not accepted",
};

export class FeedbackView {
  thumbs = element("div", { class: "thumbs", role: "group", "aria-label": "Rate this answer" });
  status = element("span", { class: "feedback-state", "data-testid": "feedback-state" });
  panel = element("div", { class: "feedback-panel", hidden: true });
  #why = element("span", { class: "visually-hidden" }, WHY_NOT_YET);
  #up = this.#thumb("thumb-up", "Good answer", true);
  #down = this.#thumb("thumb-down", "Bad answer", false);
  #touched = false;
  #comment;
  #turn;
  #feedback;
  #announcer;

  /**
   * @param {Turn} turn
   * @param {Feedback} feedback
   * @param {Announcer} announcer
   */
  constructor(turn, feedback, announcer) {
    this.#turn = turn;
    this.#feedback = feedback;
    this.#announcer = announcer;
    this.#why.id = `why-${turn.id}`;
    this.thumbs.append(this.#up, this.#down, this.#why);
    for (const thumb of [this.#up, this.#down])
      thumb.setAttribute("aria-describedby", this.#why.id);
    this.#comment = new CommentForm(turn.id, (comment) => feedback.say(comment));
    this.panel.append(this.#comment.node);
    feedback.addEventListener("change", () => {
      this.#show();
      if (feedback.state !== "sending") this.#announcer.say(this.status.textContent ?? "");
    });
    this.#show();
  }

  /** The turn has ended: allow rating if there is a trace to rate. */
  enable() {
    const { ratable } = this.#turn;
    this.#why.textContent = ratable ? "" : WHY_NEVER;
    for (const thumb of [this.#up, this.#down]) {
      thumb.disabled = !ratable;
      thumb.title = ratable ? (thumb.getAttribute("aria-label") ?? "") : WHY_NEVER;
      if (ratable) thumb.removeAttribute("aria-describedby");
    }
    if (ratable) this.#feedback.start(this.#turn.feedback);
  }

  /**
   * @param {string} name of icon and test hook
   * @param {string} label
   * @param {boolean} value
   */
  #thumb(name, label, value) {
    const button = element(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": label,
        "data-testid": name,
        disabled: true,
      },
      icon(name),
    );
    button.title = WHY_NOT_YET;
    button.addEventListener("click", () => {
      this.#touched = true;
      this.#feedback.choose(value);
    });
    return button;
  }

  #show() {
    const { value, comment, state, reason } = this.#feedback;
    this.#up.setAttribute("aria-pressed", String(value === true));
    this.#down.setAttribute("aria-pressed", String(value === false));
    this.status.dataset.state = state;
    this.status.textContent = state === "refused" ? `${WORDS.refused}: ${reason}` : WORDS[state];
    this.panel.hidden = value === null || !(this.#touched || comment);
    this.#comment.show(value, comment, state);
  }
}
