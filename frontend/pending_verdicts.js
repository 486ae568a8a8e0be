/**
 * Verdicts the server has not confirmed yet, kept in this browser so that neither a lost network
 * nor a closed tab loses one. One key per turn: the newest choice replaces the older one, from
 * whichever tab it comes.
 */

/** The whole of what is meant. `value` null: withdrawn. `stamp` tells one choice from the next. */
/** @typedef {{value: boolean | null, comment: string, stamp: string}} Verdict */

const PREFIX = "thumbprint.verdict.";

export class PendingVerdicts {
  /** @type {Map<string, Verdict>} used where storage is forbidden */
  #memory = new Map();
  #storage;

  /** @param {Storage} storage */
  constructor(storage) {
    this.#storage = storage;
  }

  /** @returns {string[]} ids of the turns with an unconfirmed verdict */
  turns() {
    const ids = new Set(this.#memory.keys());
    for (let index = 0; index < this.#storage.length; index++) {
      const key = this.#storage.key(index);
      if (key?.startsWith(PREFIX)) ids.add(key.slice(PREFIX.length));
    }
    return [...ids];
  }

  /**
   * @param {string} turnId
   * @returns {Verdict | null}
   */
  get(turnId) {
    const text = this.#storage.getItem(PREFIX + turnId);
    if (text === null) return this.#memory.get(turnId) ?? null;
    try {
      return JSON.parse(text);
    } catch {
      return null;
    }
  }

  /**
   * @param {string} turnId
   * @param {boolean | null} value
   * @param {string} comment
   */
  put(turnId, value, comment) {
    const verdict = { value, comment, stamp: `${Date.now()}-${Math.random()}` };
    try {
      this.#storage.setItem(PREFIX + turnId, JSON.stringify(verdict));
      this.#memory.delete(turnId);
    } catch {
      this.#memory.set(turnId, verdict); // storage full or forbidden
    }
  }

  /**
   * Forget a verdict that has been answered, unless a newer one took its place.
   * @param {string} turnId
   * @param {Verdict} answered
   * @returns {boolean} whether it was still the newest
   */
  settle(turnId, answered) {
    if (this.get(turnId)?.stamp !== answered.stamp) return false;
    this.#memory.delete(turnId);
    this.#storage.removeItem(PREFIX + turnId);
    return true;
  }
}
