/**
 * Keeps the newest text in view while the reader is at the end, and never moves a reader who is
 * not; offers a way back instead.
 */

const NEAR_PX = 60;

export class Scroll {
  #pinned = true;
  #scroller;
  #content;
  #jump;

  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} content that grows in it
   * @param {HTMLElement} jump button "Jump to latest"
   */
  constructor(scroller, content, jump) {
    this.#scroller = scroller;
    this.#content = content;
    this.#jump = jump;
  }

  start() {
    this.#scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    this.#jump.addEventListener("click", () => {
      this.toEnd();
      this.#scroller.focus({ preventScroll: true });
    });
    const sizes = new ResizeObserver(() => (this.#pinned ? this.toEnd() : this.#look()));
    sizes.observe(this.#content);
    sizes.observe(this.#scroller);
  }

  toEnd() {
    this.#pinned = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#jump.hidden = true;
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#pinned = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.#jump.hidden = this.#pinned;
  }
}
