/** The open conversation: its exchanges in order, each a question and every version of its answer. */
import { follow, turns } from "./connection.js";
import { Turn } from "./turn.js";

export class Conversation {
	/** @type {Turn[][]} versions oldest first */ exchanges = [];
	/** @type {string | undefined} */ id;
	/** @type {(exchange: Turn[]) => void} called with one that is new or has a new version */
	added = () => {};
	/** @type {OnTurn} called when a turn began, is to stop, or ended */
	changed = () => {};

	get running() {
		return this.exchanges.flat().findLast((turn) => turn.running);
	}

	/** @param {string} question @param {Left} [left] by an earlier page: asked once, under its id */
	ask(question, { id, replaces } = {}) {
		if (!this.#find(id)) this.#add(new Turn(question, this.id, replaces, id));
	}

	/** The earlier answer stays as another version. */
	again(/** @type {Turn} */ turn) {
		if (this.running) return;
		if (turn.known) this.#add(new Turn(turn.question, this.id, turn.id));
		// The server never began it, so there is nothing to replace there.
		else this.#add(new Turn(turn.question, this.id, turn.replaces), turn);
	}

	merge(/** @type {ConversationRecord} */ record) {
		this.id = record.id;
		for (const each of record.turns) {
			const { client_request_id: id, question, replaces } = each;
			const mine = this.#find(id);
			const turn =
				mine ?? turns.get(id) ?? new Turn(question, record.id, replaces ?? undefined, id);
			turn.settle(each);
			if (!mine) this.#add(turn);
		}
	}

	#find(/** @type {string | undefined} */ id) {
		return this.exchanges.flat().find((turn) => turn.id === id);
	}

	/** @param {Turn} turn @param {Turn} [refused] whose place it takes */
	#add(turn, refused) {
		turn.addEventListener("state", () => {
			this.id ??= turn.conversationId;
			this.changed(turn);
		});
		const akin = (/** @type {Turn} */ each) => each === refused || each.id === turn.replaces;
		const exchange = this.exchanges.find((versions) => versions.some(akin)) ?? [];
		if (!exchange.length) this.exchanges.push(exchange);
		if (refused) exchange.splice(exchange.indexOf(refused), 1, turn);
		else exchange.push(turn);
		this.added(exchange);
		if (!turn.running) return;
		this.changed(turn);
		follow(turn);
	}
}
