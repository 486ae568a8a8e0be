/**
 * Finds out how a turn ended when its frames can no longer be had: the server's record says.
 */

/** @import {Api} from "./api.js" */
/** @import {Connection} from "./connection.js" */
/** @import {Turn} from "./turn.js" */

const LOOK_AGAIN_MS = 2000;
const UNKNOWN = {
  code: "unknown_turn",
  message: "The server does not know this question any more.",
  retryable: true,
};

export class Recovery {
  #api;
  #connection;

  /**
   * @param {Api} api
   * @param {Connection} connection
   */
  constructor(api, connection) {
    this.#api = api;
    this.#connection = connection;
  }

  start() {
    this.#connection.addEventListener("lost", (event) => {
      this.#look(/** @type {CustomEvent<Turn>} */ (event).detail);
    });
  }

  /** @param {Turn} turn */
  async #look(turn) {
    const { conversationId, id } = turn;
    const record = await this.#api.conversation(conversationId ?? "").catch(() => null);
    const found = record?.turns.find((each) => each.client_request_id === id);
    if (found) turn.settle(found);
    else if (record) turn.refuse(UNKNOWN);
    if (turn.running) setTimeout(() => this.#connection.resume(turn), LOOK_AGAIN_MS);
  }
}
