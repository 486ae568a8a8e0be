/**
 * The HTTP side of the contract: JSON in, JSON out, one error class for every way it can fail.
 */

/** @import {ConversationRecord, ConversationSummary, FeedbackRecord} from "./frames.js" */
/** @typedef {{status: string, feedback: FeedbackRecord[]}} FeedbackAnswer */

const TIMEOUT_MS = 15_000;

/** `status` is the HTTP status, 0 when there was no answer at all. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message a sentence fit for the reader
   * @param {number} retryAfterMs
   */
  constructor(status, message, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }

  /** The same request may succeed later. */
  get passing() {
    return this.status === 0 || this.status >= 500 || [408, 425, 429].includes(this.status);
  }
}

export class Api {
  /** @returns {Promise<{conversations: ConversationSummary[]}>} */
  conversations() {
    return this.#call("GET", "/conversations");
  }

  /**
   * @param {string} id
   * @returns {Promise<ConversationRecord>}
   */
  conversation(id) {
    return this.#call("GET", `/conversations/${encodeURIComponent(id)}`);
  }

  /**
   * @param {string} id
   * @param {string} title
   * @returns {Promise<ConversationSummary>}
   */
  rename(id, title) {
    return this.#call("PATCH", `/conversations/${encodeURIComponent(id)}`, { title });
  }

  /**
   * @param {string} id
   * @returns {Promise<{kept_in_mlflow: number}>}
   */
  remove(id) {
    return this.#call("DELETE", `/conversations/${encodeURIComponent(id)}`);
  }

  /**
   * @param {string} turnId
   * @returns {Promise<FeedbackAnswer>}
   */
  feedback(turnId) {
    return this.#call("GET", `/feedback?client_request_id=${encodeURIComponent(turnId)}`);
  }

  /**
   * @param {string} turnId
   * @param {{is_correct: boolean, comment?: string}} body
   * @returns {Promise<FeedbackAnswer>}
   */
  judge(turnId, body) {
    return this.#call("POST", `/feedback?client_request_id=${encodeURIComponent(turnId)}`, body);
  }

  /**
   * @param {string} turnId
   * @param {string} name of the assessment
   * @returns {Promise<FeedbackAnswer>}
   */
  withdraw(turnId, name) {
    const query = new URLSearchParams({ client_request_id: turnId, name });
    return this.#call("DELETE", `/feedback?${query}`);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   */
  async #call(method, path, body) {
    /** @type {Response} */
    let response;
    try {
      response = await fetch(path, {
        method,
        headers: { Accept: "application/json", "Content-Type": "application/json" },
        ...(body ? { body: JSON.stringify(body) } : {}),
        cache: "no-store",
        keepalive: method !== "GET", // a click just before the tab closes still arrives
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      throw new ApiError(0, "The server could not be reached.");
    }
    const answer = await response.json().catch(() => null);
    if (response.ok && answer) return answer;
    const seconds = Number(response.headers.get("Retry-After")) || 0;
    const message = answer?.error?.message ?? `The server answered with status ${response.status}.`;
    throw new ApiError(response.ok ? 0 : response.status, message, seconds * 1000);
  }
}
