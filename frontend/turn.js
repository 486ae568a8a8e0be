/**
 * One question with one answer: the text received so far, the last `seq`, and how it ended.
 * Emits "start", "text", "stopping" and "end"; knows neither socket nor DOM.
 */
import { newRequestId } from "./frames.js";

/** @import {Ending, FeedbackRecord, Frame, TurnError, TurnRecord} from "./frames.js" */

export class Turn extends EventTarget {
  #seq = -1;
  #text = "";
  /** @type {Ending} */
  #ending = "streaming";

  /** True once the server holds this turn: it is then resumed, never asked again. */
  known = false;
  /** True from the moment the reader asked to stop. */
  stopping = false;
  /** @type {string | null} */ conversationId = null;
  /** @type {string | null} */ html = null;
  /** @type {TurnError | null} */ error = null;
  /** @type {string | null} */ traceId = null;
  /** @type {string | null} */ finishReason = null;
  /** @type {FeedbackRecord[]} */ feedback = [];
  /** Milliseconds since the epoch. */
  askedAt = Date.now();

  /**
   * @param {string} question
   * @param {{id?: string, replaces?: string | null, conversationId?: string | null}} [options]
   */
  constructor(question, { id = newRequestId(), replaces = null, conversationId = null } = {}) {
    super();
    this.id = id;
    this.question = question;
    this.replaces = replaces;
    this.conversationId = conversationId;
  }

  /**
   * @param {TurnRecord} record as the server keeps it
   * @param {string} conversationId
   */
  static fromRecord(record, conversationId) {
    const { client_request_id: id, replaces } = record;
    const turn = new Turn(record.question, { id, replaces, conversationId });
    turn.known = true;
    turn.askedAt = Math.min(Date.parse(record.created_at) || Date.now(), Date.now());
    turn.settle(record);
    return turn;
  }

  get seq() {
    return this.#seq;
  }
  get text() {
    return this.#text;
  }
  get ending() {
    return this.#ending;
  }
  get running() {
    return this.#ending === "streaming";
  }
  /** Feedback needs a trace that the server has promised to keep. */
  get ratable() {
    return !this.running && this.traceId !== null;
  }

  /**
   * Take the next frame of this turn.
   * @param {Frame} frame
   * @returns {boolean} false when a frame before this one is missing: resume from `seq`
   */
  accept(frame) {
    const seq = frame.seq ?? this.#seq + 1;
    if (!this.running || seq <= this.#seq) return true;
    if (seq > this.#seq + 1) return false;
    this.#seq = seq;
    this.known = true;
    if (frame.type === "start") {
      this.conversationId = frame.conversation_id;
      this.#emit("start");
    } else if (frame.type === "token") {
      this.#text += frame.content;
      this.#emit("text");
    } else {
      this.#finish(frame);
    }
    return true;
  }

  stop() {
    this.stopping = true;
    this.#emit("stopping");
  }

  /**
   * Take the ending from the server's record, when the frames can no longer be had.
   * @param {TurnRecord} record
   */
  settle(record) {
    if (!this.running || record.ending === "running") return;
    this.#text = record.answer;
    this.html = record.html;
    this.error = record.error;
    this.traceId = record.trace_id;
    this.finishReason = record.finish_reason;
    this.feedback = record.feedback;
    this.#end(record.ending);
  }

  /**
   * The server refused to begin this turn.
   * @param {TurnError} error
   */
  refuse(error) {
    if (!this.running) return;
    this.error = error;
    this.#end("failed");
  }

  /** @param {import("./frames.js").DoneFrame | import("./frames.js").ErrorFrame} frame */
  #finish(frame) {
    this.traceId = frame.trace_id ?? null;
    this.html = frame.html ?? null;
    if (frame.type === "done") {
      this.finishReason = frame.finish_reason;
      this.#end(frame.finish_reason === "stopped" ? "stopped" : "complete");
      return;
    }
    this.error = { code: frame.code, message: frame.error, retryable: frame.retryable };
    this.#end(frame.code === "interrupted" ? "interrupted" : "failed");
  }

  /** @param {Ending} ending */
  #end(ending) {
    this.#ending = ending;
    this.#emit("end");
  }

  /** @param {string} name */
  #emit(name) {
    this.dispatchEvent(new Event(name));
  }
}
