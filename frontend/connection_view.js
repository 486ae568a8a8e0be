/**
 * Tells quietly that the connection is gone, once that has lasted long enough to matter.
 */

/** @import {Line} from "./line.js" */

const PATIENCE_MS = 1200;

export class ConnectionView {
  /** @type {number | undefined} */
  #timer;
  #line;
  #region;

  /**
   * @param {Line} line
   * @param {HTMLElement} region a status region
   */
  constructor(line, region) {
    this.#line = line;
    this.#region = region;
  }

  start() {
    this.#line.addEventListener("state", () => this.#look());
    window.addEventListener("offline", () => this.#look());
    this.#look();
  }

  #look() {
    const { state } = this.#line;
    this.#region.dataset.state = state;
    if (state === "open") {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#region.textContent = "";
    } else {
      this.#timer ??= window.setTimeout(() => this.#tell(), PATIENCE_MS);
    }
  }

  #tell() {
    const lost = navigator.onLine ? "Connection lost." : "You are offline.";
    this.#region.textContent = `${lost} Reconnecting…`;
  }
}
