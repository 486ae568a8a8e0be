/**
 * Sends one turn's newest verdict until the server has answered it: one request at a time, so
 * that the server sees choices in the order they were made, with backoff while it cannot.
 */
import { ApiError } from "./api.js";

/** @import {Api, FeedbackAnswer} from "./api.js" */
/** @import {FeedbackRecord} from "./frames.js" */
/** @import {PendingVerdicts, Verdict} from "./pending_verdicts.js" */
/** @typedef {{sent(records: FeedbackRecord[]): void, refused(reason: string): void,
 *   delayed(): void, idle(): void}} SenderDelegate */

export const THUMB = "user_feedback";
const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 30_000;

export class VerdictSender {
  #busy = false;
  #wake = () => {};
  #turnId;
  #api;
  #pending;
  #delegate;

  /**
   * @param {string} turnId
   * @param {Api} api
   * @param {PendingVerdicts} pending
   * @param {SenderDelegate} delegate hears of answers to the newest verdict only
   */
  constructor(turnId, api, pending, delegate) {
    this.#turnId = turnId;
    this.#api = api;
    this.#pending = pending;
    this.#delegate = delegate;
  }

  get busy() {
    return this.#busy;
  }

  /** Send what is pending now; while waiting for another attempt, do not wait any longer. */
  async deliver() {
    this.#wake();
    if (this.#busy) return;
    this.#busy = true;
    let failures = 0;
    for (let verdict = this.#next(); verdict; verdict = this.#next()) {
      try {
        const answer = await this.#send(verdict);
        failures = 0;
        if (this.#settled(verdict)) this.#delegate.sent(answer.feedback);
      } catch (error) {
        const failure = error instanceof ApiError ? error : new ApiError(0, String(error));
        if (failure.passing) {
          this.#delegate.delayed();
          const longest = Math.min(FIRST_DELAY_MS * 2 ** failures++, LONGEST_DELAY_MS);
          await this.#pause(Math.max(longest * (0.5 + Math.random() / 2), failure.retryAfterMs));
        } else if (this.#settled(verdict)) {
          this.#delegate.refused(failure.message);
        }
      }
    }
    this.#busy = false;
    this.#delegate.idle();
  }

  #next() {
    return this.#pending.get(this.#turnId);
  }

  /** @param {Verdict} verdict */
  #settled(verdict) {
    return this.#pending.settle(this.#turnId, verdict);
  }

  /**
   * @param {Verdict} verdict
   * @returns {Promise<FeedbackAnswer>}
   */
  #send({ value, comment }) {
    if (value === null) return this.#api.withdraw(this.#turnId, THUMB);
    return this.#api.judge(this.#turnId, { is_correct: value, ...(comment ? { comment } : {}) });
  }

  /**
   * Wait, but not past a newer choice or the network's return.
   * @param {number} ms
   */
  async #pause(ms) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
      window.addEventListener("online", this.#wake, { once: true });
    });
    window.removeEventListener("online", this.#wake);
  }
}
