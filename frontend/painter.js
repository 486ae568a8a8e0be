/**
 * Runs drawing work once per screen refresh and within a time budget, so that neither a flood of
 * frames nor a very long answer ever blocks the page.
 */

const BUDGET_MS = 8;
/** A hidden tab gets no refreshes; its answers still have to end. */
const HIDDEN_MS = 250;

/** Draws until the deadline; true when nothing is left. @typedef {(deadline: number) => boolean} Job */

export class Painter {
  /** @type {Set<Job>} */
  #jobs = new Set();
  #scheduled = false;

  /** @param {Job} job called in the coming refreshes until it returns true */
  schedule(job) {
    this.#jobs.add(job);
    this.#request();
  }

  #request() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const paint = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      this.#scheduled = false;
      this.#paint();
    };
    const frame = requestAnimationFrame(paint);
    const timer = setTimeout(paint, HIDDEN_MS);
  }

  #paint() {
    const deadline = performance.now() + BUDGET_MS;
    for (const job of [...this.#jobs]) {
      this.#jobs.delete(job);
      if (!job(deadline)) this.#jobs.add(job);
    }
    if (this.#jobs.size > 0) this.#request();
  }
}
