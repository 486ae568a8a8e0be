/**
 * The sidebar on narrow screens: slides in over the page, closes on Esc, outside, or a choice.
 */

export class Drawer {
  #sidebar;
  #opener;
  #shade;
  #page;
  #narrow = matchMedia("(max-width: 50rem)");

  /**
   * @param {{sidebar: HTMLElement, opener: HTMLElement, shade: HTMLElement, page: HTMLElement}} parts
   */
  constructor({ sidebar, opener, shade, page }) {
    this.#sidebar = sidebar;
    this.#opener = opener;
    this.#shade = shade;
    this.#page = page;
  }

  start() {
    this.#opener.addEventListener("click", () => this.#set(true));
    this.#shade.addEventListener("click", () => this.close());
    this.#sidebar.addEventListener("click", ({ target }) => {
      if (target instanceof Element && target.closest("a")) this.close();
    });
    this.#narrow.addEventListener("change", () => this.#set(false));
  }

  get open() {
    return this.#sidebar.classList.contains("open");
  }

  /** @returns {boolean} whether it was open */
  close() {
    if (!this.open) return false;
    this.#set(false);
    this.#opener.focus();
    return true;
  }

  /** @param {boolean} open */
  #set(open) {
    this.#sidebar.classList.toggle("open", open);
    this.#opener.setAttribute("aria-expanded", String(open));
    this.#shade.hidden = !open;
    this.#page.inert = open;
    if (open) this.#sidebar.querySelector("a")?.focus();
  }
}
