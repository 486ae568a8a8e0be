/**
 * What the reader thinks of one turn: shown at once, rolled back when refused, never overwritten
 * by a late answer. Emits "change". States: idle, sending, saved (durable on the server),
 * recorded (in MLflow), retrying, refused.
 */
import { THUMB, VerdictSender } from "./verdict_sender.js";

/** @import {Api} from "./api.js" */
/** @import {FeedbackRecord} from "./frames.js" */
/** @import {PendingVerdicts} from "./pending_verdicts.js" */
/** @typedef {"idle" | "sending" | "saved" | "recorded" | "retrying" | "refused"} FeedbackState */
/** @typedef {{value: boolean | null, comment: string, state: FeedbackState}} Shown */

const FIRST_LOOK_MS = 700;
const LONGEST_LOOK_MS = 10_000;
const WATCH_MS = 120_000;

export class Feedback extends EventTarget {
  /** @type {boolean | null} */ value = null;
  comment = "";
  /** @type {FeedbackState} */ state = "idle";
  /** Why it was refused. */
  reason = "";

  /** @type {Shown} */
  #confirmed = { value: null, comment: "", state: "idle" };
  #choice = 0;
  #turnId;
  #api;
  #pending;
  #sender;

  /**
   * @param {string} turnId
   * @param {Api} api
   * @param {PendingVerdicts} pending
   */
  constructor(turnId, api, pending) {
    super();
    this.#turnId = turnId;
    this.#api = api;
    this.#pending = pending;
    this.#sender = new VerdictSender(turnId, api, pending, {
      sent: (records) => this.#confirm(records),
      refused: (reason) => {
        this.reason = reason;
        this.#show({ ...this.#confirmed, state: "refused" });
      },
      delayed: () => this.#show({ value: this.value, comment: this.comment, state: "retrying" }),
      idle: () => this.#rest(),
    });
  }

  /**
   * Take the server's record, then carry on with what it has not confirmed yet.
   * @param {FeedbackRecord[]} records
   */
  start(records) {
    this.#confirmed = this.#read(records);
    if (this.#sender.busy) return;
    this.#choice++;
    const unsent = this.#pending.get(this.#turnId);
    if (unsent) {
      this.#show({ value: unsent.value, comment: unsent.comment, state: "sending" });
      this.#sender.deliver();
    } else {
      this.#show(this.#confirmed);
      this.#rest();
    }
  }

  /**
   * Press a thumb; pressing the pressed one withdraws.
   * @param {boolean} value
   */
  choose(value) {
    if (this.value === value) this.#want(null, "");
    else this.#want(value, this.comment);
  }

  /** @param {string} comment belongs to the thumb, which must be pressed */
  say(comment) {
    if (this.value !== null) this.#want(this.value, comment);
  }

  /**
   * @param {boolean | null} value
   * @param {string} comment
   */
  #want(value, comment) {
    this.#choice++;
    this.#pending.put(this.#turnId, value, comment);
    this.#show({ value, comment, state: "sending" });
    this.#sender.deliver();
  }

  /** Nothing left to send: settle on what the server knows. */
  #rest() {
    if (this.state === "saved") this.#watch();
    // Another tab answered for this one: see what came of it.
    else if (this.state === "sending" || this.state === "retrying") this.#look();
  }

  /** Follow a saved verdict until MLflow has it; after a while give up quietly: it is saved. */
  async #watch() {
    const choice = this.#choice;
    const until = Date.now() + WATCH_MS;
    for (let ms = FIRST_LOOK_MS; Date.now() < until; ms = Math.min(ms * 1.5, LONGEST_LOOK_MS)) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      if (choice !== this.#choice || this.state !== "saved") return;
      await this.#look();
    }
  }

  async #look() {
    const choice = this.#choice;
    const answer = await this.#api.feedback(this.#turnId).catch(() => null);
    if (answer && choice === this.#choice) this.#confirm(answer.feedback);
  }

  /** @param {FeedbackRecord[]} records */
  #confirm(records) {
    this.#confirmed = this.#read(records);
    this.#show(this.#confirmed);
  }

  /**
   * @param {FeedbackRecord[]} records what the server holds for this turn
   * @returns {Shown}
   */
  #read(records) {
    const mine = records.find((record) => record.name === THUMB);
    if (!mine) return { value: null, comment: "", state: "idle" };
    if (mine.state === "refused") this.reason = "MLflow did not take it";
    return { value: mine.value === true, comment: mine.rationale ?? "", state: mine.state };
  }

  /** @param {Shown} shown */
  #show(shown) {
    const { value, comment, state } = this;
    if (value === shown.value && comment === shown.comment && state === shown.state) return;
    Object.assign(this, shown);
    this.dispatchEvent(new Event("change"));
  }
}
