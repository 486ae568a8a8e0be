/**
 * The optional comment on a verdict: saved on its own, kept while it is being written.
 */
import { element } from "./element.js";

const LONGEST = 4000;

export class CommentForm {
  node = element("form", { class: "comment-form" });
  #label = element("label");
  #field = element("textarea", { rows: "1", maxlength: String(LONGEST), "data-testid": "comment" });
  #save = element("button", { class: "button", "data-testid": "comment-save" }, "Save comment");
  #saved = "";

  /**
   * @param {string} turnId makes the field's id unique
   * @param {(comment: string) => void} say
   */
  constructor(turnId, say) {
    this.#field.id = `comment-${turnId}`;
    this.#label.htmlFor = this.#field.id;
    this.node.append(this.#label, this.#field, this.#save);
    this.#field.addEventListener("input", () => this.#check());
    this.#field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.node.requestSubmit();
    });
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#save.disabled) say(this.#field.value.trim());
    });
  }

  /**
   * @param {boolean | null} value of the thumb
   * @param {string} comment as last said
   * @param {string} state of the feedback
   */
  show(value, comment, state) {
    this.#label.textContent = value ? "What was good? (optional)" : "What went wrong? (optional)";
    const untouched = this.#field.value.trim() === this.#saved;
    this.#saved = comment;
    if (untouched || value === null) this.#field.value = comment;
    this.#check();
    const kept = comment !== "" && (state === "saved" || state === "recorded");
    this.#save.textContent = kept && this.#save.disabled ? "Comment saved" : "Save comment";
  }

  #check() {
    this.#save.disabled = this.#field.value.trim() === this.#saved;
    if (!this.#save.disabled) this.#save.textContent = "Save comment";
  }
}
