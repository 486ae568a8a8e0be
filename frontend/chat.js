/**
 * The course of a visit: which conversation is open, what happens when something is asked,
 * stopped, lost or found again.
 */
import { ApiError } from "./api.js";
import { Conversation } from "./conversation.js";

/** @import {Announcer} from "./announcer.js" */
/** @import {Api} from "./api.js" */
/** @import {Composer} from "./composer.js" */
/** @import {Connection} from "./connection.js" */
/** @import {ConversationList} from "./conversation_list.js" */
/** @import {Router} from "./router.js" */
/** @import {Transcript} from "./transcript.js" */
/** @import {Turn} from "./turn.js" */

export class Chat {
  #conversation;
  #name = document.title;
  #heading;
  #parts;

  /**
   * @param {HTMLElement} heading of the page: the title of the open conversation
   * @param {{api: Api, announcer: Announcer, composer: Composer, connection: Connection,
   *   list: ConversationList, router: Router, transcript: Transcript}} parts
   */
  constructor(heading, parts) {
    this.#heading = heading;
    this.#parts = parts;
    this.#conversation = new Conversation(parts.connection);
  }

  start() {
    const { announcer, connection, list, router } = this.#parts;
    connection.addEventListener("notice", (event) => {
      announcer.show(/** @type {CustomEvent<string>} */ (event).detail);
    });
    list.addEventListener("change", () => this.#title());
    list.addEventListener("removed", (event) => {
      const { detail } = /** @type {CustomEvent<string>} */ (event);
      if (detail === this.#conversation.id) router.go("/");
    });
    router.addEventListener("change", () => this.#open());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#refresh();
    });
    list.load();
    this.#open();
  }

  /** @param {string} question */
  ask(question) {
    this.#conversation.ask(question);
  }

  /** @param {Turn} turn */
  again(turn) {
    this.#conversation.again(turn);
    this.#parts.composer.focus();
  }

  stop() {
    const turn = this.#conversation.running;
    if (turn) this.#parts.connection.stopTurn(turn);
    return turn !== undefined;
  }

  async #open() {
    const { api, composer, connection, list, router, transcript } = this.#parts;
    const id = router.conversationId;
    if (id && id === this.#conversation.id) return;
    const conversation = new Conversation(connection);
    this.#conversation = conversation;
    conversation.addEventListener("state", () => this.#changed(conversation));
    composer.running = false;
    composer.turnTo(id);
    list.select(id);
    this.#title();
    if (!id) return transcript.show(conversation);
    try {
      const record = await api.conversation(id);
      if (conversation !== this.#conversation) return;
      conversation.merge(record);
      transcript.show(conversation);
      this.#title();
    } catch (error) {
      if (conversation !== this.#conversation) return;
      const missing = error instanceof ApiError && [403, 404].includes(error.status);
      conversation.id = missing ? null : conversation.id;
      transcript.show(
        conversation,
        missing
          ? "There is no such conversation here. Ask something to begin a new one."
          : "This conversation could not be loaded. Reload the page to try again.",
      );
    }
  }

  /** @param {Conversation} conversation something in it started or ended */
  #changed(conversation) {
    const { composer, list, router } = this.#parts;
    if (conversation !== this.#conversation) {
      list.load();
      return;
    }
    composer.running = conversation.running !== undefined;
    if (!conversation.id) return;
    if (router.conversationId !== conversation.id) router.settle(conversation.id);
    list.select(conversation.id);
    list.load();
  }

  #title() {
    const { list } = this.#parts;
    const title = list.items.find(({ id }) => id === this.#conversation.id)?.title;
    this.#heading.textContent = title ?? this.#name;
    document.title = title ? `${title} · ${this.#name}` : this.#name;
  }

  /** Other tabs and devices may have moved on. */
  async #refresh() {
    const conversation = this.#conversation;
    this.#parts.list.load();
    if (!conversation.id || conversation.running) return;
    const record = await this.#parts.api.conversation(conversation.id).catch(() => null);
    if (record && conversation === this.#conversation) conversation.merge(record);
  }
}
