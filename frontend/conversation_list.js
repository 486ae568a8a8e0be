/**
 * The reader's conversations, newest first. Emits "change" and "removed" (detail: id).
 */

/** @import {Api} from "./api.js" */
/** @import {ConversationSummary} from "./frames.js" */

export class ConversationList extends EventTarget {
  /** @type {ConversationSummary[]} */ items = [];
  /** @type {string | null} */ current = null;
  #asked = 0;
  #api;

  /** @param {Api} api */
  constructor(api) {
    super();
    this.#api = api;
  }

  /** Bring the list up to date; an old answer never replaces a newer one. */
  async load() {
    const asked = ++this.#asked;
    const answer = await this.#api.conversations().catch(() => null);
    if (!answer || asked !== this.#asked) return;
    this.items = answer.conversations;
    this.#changed();
  }

  /** @param {string | null} id of the open conversation */
  select(id) {
    if (id === this.current) return;
    this.current = id;
    this.#changed();
  }

  /**
   * @param {string} id
   * @param {string} title
   */
  async rename(id, title) {
    const renamed = await this.#api.rename(id, title);
    this.items = this.items.map((item) =>
      item.id === id ? { ...item, title: renamed.title } : item,
    );
    this.#changed();
  }

  /** @param {string} id */
  async remove(id) {
    await this.#api.remove(id);
    this.#asked++;
    this.items = this.items.filter((item) => item.id !== id);
    this.#changed();
    this.dispatchEvent(new CustomEvent("removed", { detail: id }));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
