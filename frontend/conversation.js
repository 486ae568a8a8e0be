/**
 * The open conversation: its exchanges in order, and how a new turn joins them.
 * Emits "exchange" (detail: the Exchange) and "state" (something started or ended).
 */
import { Exchange } from "./exchange.js";
import { Turn } from "./turn.js";

/** @import {ConversationRecord} from "./frames.js" */
/** @typedef {{ask(turn: Turn): void, follow(turn: Turn): void, turn(id: string): Turn | undefined}} Asker */

export class Conversation extends EventTarget {
  /** @type {Exchange[]} */
  #exchanges = [];
  /** @type {Turn[]} */
  #turns = [];
  #asker;
  /** @type {string | null} */ id = null;
  title = "";

  /** @param {Asker} asker */
  constructor(asker) {
    super();
    this.#asker = asker;
  }

  get exchanges() {
    return this.#exchanges;
  }
  /** The turn being answered, if there is one. */
  get running() {
    return this.#turns.findLast((turn) => turn.running);
  }

  /** @param {string} question */
  ask(question) {
    const turn = new Turn(question, { conversationId: this.id });
    this.#add(turn);
    this.#asker.ask(turn);
    return turn;
  }

  /**
   * Ask the question of a turn again; the earlier answer stays as another version.
   * @param {Turn} turn
   */
  again(turn) {
    if (this.running) return;
    if (turn.known) {
      const next = new Turn(turn.question, { replaces: turn.id, conversationId: this.id });
      this.#add(next);
      this.#asker.ask(next);
      return;
    }
    // The server never began it, so there is nothing to replace there.
    const next = new Turn(turn.question, { replaces: turn.replaces, conversationId: this.id });
    this.#turns = this.#turns.map((each) => (each === turn ? next : each));
    this.#listen(next);
    this.#exchanges.find((exchange) => exchange.has(turn.id))?.swap(turn, next);
    this.#emit("state");
    this.#asker.ask(next);
  }

  /**
   * Bring in what the server holds: new turns are added, running ones followed to their end.
   * @param {ConversationRecord} record
   */
  merge(record) {
    this.id = record.id;
    this.title = record.title;
    for (const each of record.turns) {
      const mine = this.#turns.find((turn) => turn.id === each.client_request_id);
      if (mine) {
        mine.settle(each);
        continue;
      }
      const turn = this.#asker.turn(each.client_request_id) ?? Turn.fromRecord(each, record.id);
      this.#add(turn);
      if (turn.running) this.#asker.follow(turn);
    }
  }

  /** @param {Turn} turn */
  #add(turn) {
    this.#turns.push(turn);
    this.#listen(turn);
    const { replaces } = turn;
    const exchange = replaces ? this.#exchanges.find((each) => each.has(replaces)) : undefined;
    if (exchange) {
      exchange.add(turn);
    } else {
      const fresh = new Exchange(turn);
      this.#exchanges.push(fresh);
      this.dispatchEvent(new CustomEvent("exchange", { detail: fresh }));
    }
    this.#emit("state");
  }

  /** @param {Turn} turn */
  #listen(turn) {
    turn.addEventListener("start", () => {
      this.id ??= turn.conversationId;
      this.#emit("state");
    });
    turn.addEventListener("end", () => this.#emit("state"));
  }

  /** @param {string} name */
  #emit(name) {
    this.dispatchEvent(new Event(name));
  }
}
