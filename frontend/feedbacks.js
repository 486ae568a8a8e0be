/**
 * The feedback of every turn this page has met, one object per turn, and the verdicts left
 * unsent by an earlier visit.
 */
import { Feedback } from "./feedback.js";

/** @import {Api} from "./api.js" */
/** @import {PendingVerdicts} from "./pending_verdicts.js" */

export class Feedbacks {
  /** @type {Map<string, Feedback>} */
  #known = new Map();
  #api;
  #pending;

  /**
   * @param {Api} api
   * @param {PendingVerdicts} pending
   */
  constructor(api, pending) {
    this.#api = api;
    this.#pending = pending;
  }

  /** Send what was left unsent. */
  start() {
    for (const turnId of this.#pending.turns()) this.of(turnId).start([]);
  }

  /** @param {string} turnId */
  of(turnId) {
    let feedback = this.#known.get(turnId);
    if (!feedback) {
      feedback = new Feedback(turnId, this.#api, this.#pending);
      this.#known.set(turnId, feedback);
    }
    return feedback;
  }
}
