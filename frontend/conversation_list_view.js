/**
 * The list of conversations in the sidebar: open, rename in place, delete after a question.
 */
import { element, iconButton } from "./element.js";

/** @import {Announcer} from "./announcer.js" */
/** @import {ConversationList} from "./conversation_list.js" */
/** @import {ConversationSummary} from "./frames.js" */

export class ConversationListView {
  #list;
  #root;
  #dialog;
  #announcer;
  /** @type {ConversationSummary | null} */
  #doomed = null;

  /**
   * @param {ConversationList} list
   * @param {HTMLElement} root
   * @param {HTMLDialogElement} dialog that asks before deleting
   * @param {Announcer} announcer
   */
  constructor(list, root, dialog, announcer) {
    this.#list = list;
    this.#root = root;
    this.#dialog = dialog;
    this.#announcer = announcer;
  }

  start() {
    this.#list.addEventListener("change", () => {
      if (!this.#root.querySelector("input")) this.#show();
    });
    this.#dialog.addEventListener("close", () => {
      if (this.#dialog.returnValue === "delete" && this.#doomed) this.#remove(this.#doomed);
    });
  }

  #show() {
    const focused = document.activeElement?.closest("li")?.dataset.id;
    this.#root.replaceChildren(...this.#list.items.map((item) => this.#row(item)));
    if (focused) this.#focus(focused);
  }

  /** @param {string} id */
  #focus(id) {
    const rows = [...this.#root.children].filter((row) => row instanceof HTMLElement);
    rows
      .find((row) => row.dataset.id === id)
      ?.querySelector("a")
      ?.focus();
  }

  /** @param {ConversationSummary} item */
  #row(item) {
    const { id, title } = item;
    const current = id === this.#list.current ? "page" : null;
    const link = element("a", { href: `/c/${id}`, "aria-current": current, title }, title);
    const rename = iconButton("pencil", `Rename: ${title}`, "conversation-rename", () =>
      this.#edit(item, row),
    );
    const remove = iconButton("trash", `Delete: ${title}`, "conversation-delete", () =>
      this.#ask(item),
    );
    const row = element(
      "li",
      { "data-testid": "conversation-item", "data-id": id },
      link,
      rename,
      remove,
    );
    return row;
  }

  /**
   * @param {ConversationSummary} item
   * @param {HTMLElement} row
   */
  #edit({ id, title }, row) {
    const field = element("input", { "aria-label": "Title", maxlength: "120", value: title });
    let over = false;
    const finish = async (/** @type {boolean} */ keep) => {
      if (over) return;
      over = true;
      const wanted = field.value.trim();
      field.remove();
      if (keep && wanted && wanted !== title) await this.#attempt(this.#list.rename(id, wanted));
      this.#show();
      this.#focus(id);
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") event.preventDefault();
      if (event.key === "Escape" || (event.key === "Enter" && !event.isComposing))
        finish(event.key === "Enter");
    });
    field.addEventListener("blur", () => finish(true));
    row.replaceChildren(field);
    field.select();
  }

  /** @param {ConversationSummary} item */
  #ask(item) {
    this.#doomed = item;
    this.#dialog.returnValue = "";
    const name = this.#dialog.querySelector("[data-title]");
    if (name) name.textContent = item.title;
    this.#dialog.showModal();
  }

  /** @param {ConversationSummary} item */
  async #remove({ id }) {
    if (await this.#attempt(this.#list.remove(id))) this.#announcer.say("Conversation deleted.");
  }

  /** @param {Promise<void>} work */
  async #attempt(work) {
    try {
      await work;
      return true;
    } catch (error) {
      this.#announcer.show(error instanceof Error ? error.message : String(error));
      return false;
    }
  }
}
