/**
 * The turns that are running, and bringing each to its end over the line: asked once, resumed
 * from the last `seq` after every loss. Emits "lost" (detail: a turn the log no longer has)
 * and "notice" (detail: what the server says about no turn in particular).
 */

/** @import {ErrorFrame, Frame, MessageFrame, ResumeFrame, StopFrame} from "./frames.js" */
/** @import {Line} from "./line.js" */
/** @import {Turn} from "./turn.js" */

/** A socket can die without telling us; with a turn running, this much silence is suspect. */
const SUSPECT_SILENCE_MS = 30_000;
/** Said of a turn that was to be resumed and of which the server we reached has no frames. */
const GONE = ["unknown_turn", "turn_expired", "turn_elsewhere"];

export class Connection extends EventTarget {
  /** @type {Map<string, Turn>} */
  #turns = new Map();
  #heardAt = 0;
  #line;

  /** @param {Line} line */
  constructor(line) {
    super();
    this.#line = line;
  }

  start() {
    this.#line.addEventListener("open", () => {
      this.#heardAt = Date.now();
      for (const turn of this.#turns.values()) this.#begin(turn);
    });
    this.#line.addEventListener("frame", (event) => {
      this.#receive(/** @type {CustomEvent<Frame>} */ (event).detail);
    });
    setInterval(() => this.#doubt(), SUSPECT_SILENCE_MS / 6);
    this.#line.start();
  }

  /** @param {string} id */
  turn(id) {
    return this.#turns.get(id);
  }

  /** @param {Turn} turn */
  ask(turn) {
    this.follow(turn);
    this.#line.wake();
  }

  /** @param {Turn} turn */
  follow(turn) {
    if (this.#turns.has(turn.id)) return;
    this.#turns.set(turn.id, turn);
    turn.addEventListener("end", () => this.#turns.delete(turn.id), { once: true });
    this.#heardAt = Date.now();
    this.#begin(turn);
  }

  /**
   * Ask for the rest of a turn again.
   * @param {Turn} turn
   */
  resume(turn) {
    if (this.#turns.has(turn.id)) this.#begin(turn);
  }

  /** @param {Turn} turn */
  stopTurn(turn) {
    if (!turn.stopping) turn.stop();
    /** @type {StopFrame} */
    const frame = { type: "stop", client_request_id: turn.id };
    this.#line.send(frame);
  }

  #doubt() {
    const silent = Date.now() - this.#heardAt > SUSPECT_SILENCE_MS;
    if (silent && this.#turns.size > 0 && this.#line.state === "open") this.#line.restart();
  }

  /** @param {Frame} frame */
  #receive(frame) {
    this.#heardAt = Date.now();
    const turn = this.#turns.get(frame.client_request_id ?? "");
    if (frame.type === "error" && frame.seq === undefined) this.#refused(frame, turn);
    else if (turn && !turn.accept(frame)) this.#begin(turn);
  }

  /**
   * @param {ErrorFrame} frame an error that is no part of a turn's log
   * @param {Turn | undefined} turn the running turn it speaks of
   */
  #refused(frame, turn) {
    if (frame.code === "shutting_down") {
      this.#line.restart(); // another server takes the turn up
    } else if (!frame.client_request_id && GONE.includes(frame.code)) {
      for (const each of this.#turns.values()) if (each.known) this.#tell("lost", each);
    } else if (turn?.known) {
      this.#tell("lost", turn);
    } else if (turn) {
      turn.refuse({ code: frame.code, message: frame.error, retryable: frame.retryable });
    } else if (!frame.client_request_id) {
      this.#tell("notice", frame.error);
    } // else: about a turn that has ended meanwhile
  }

  /** @param {Turn} turn */
  #begin(turn) {
    /** @type {MessageFrame | ResumeFrame} */
    let frame = { type: "resume", client_request_id: turn.id, after_seq: turn.seq };
    if (!turn.known) {
      frame = { type: "message", content: turn.question, client_request_id: turn.id };
      if (turn.conversationId) frame.conversation_id = turn.conversationId;
      if (turn.replaces) frame.replaces = turn.replaces;
    }
    this.#line.send(frame);
    if (turn.stopping) this.stopTurn(turn);
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
