/** The open conversation: its exchanges in order, each a question and every version of its answer. */
import { follow, runningTurn } from "./connection.js";
import { Turn } from "./turn.js";

/** Emits "exchange" (detail: the one that is new or has a new version) and "state" (of a turn). */
export class Conversation extends EventTarget {
	/** @type {Turn[][]} versions oldest first */ exchanges = [];
	/** @type {string | null} */ id = null;

	/** The turn being answered, if there is one. */
	get running() {
		return this.exchanges.flat().findLast((turn) => turn.running);
	}

	ask(/** @type {string} */ question) {
		this.#add(new Turn(question, this.id, null));
	}

	/** Ask the question of a turn again; the earlier answer stays as another version. */
	again(/** @type {Turn} */ turn) {
		if (this.running) return;
		if (turn.known) this.#add(new Turn(turn.question, this.id, turn.id));
		// The server never began it, so there is nothing to replace there.
		else this.#add(new Turn(turn.question, this.id, turn.replaces), turn);
	}

	/** Bring in what the server holds: new turns are added, running ones followed to their end. */
	merge(/** @type {ConversationRecord} */ record) {
		this.id = record.id;
		for (const each of record.turns) {
			const id = each.client_request_id;
			const mine = this.exchanges.flat().find((turn) => turn.id === id);
			const { question, replaces } = each;
			const turn = mine ?? runningTurn(id) ?? new Turn(question, record.id, replaces, id);
			turn.settle(each);
			if (!mine) this.#add(turn);
		}
	}

	/** @param {Turn} turn @param {Turn} [refused] whose place it takes */
	#add(turn, refused) {
		turn.addEventListener("state", () => {
			this.id ??= turn.conversationId;
			this.dispatchEvent(new Event("state"));
		});
		const akin = (/** @type {Turn} */ each) => each === refused || each.id === turn.replaces;
		let exchange = this.exchanges.find((versions) => versions.some(akin));
		if (!exchange) {
			exchange = [];
			this.exchanges.push(exchange);
		}
		if (refused) exchange.splice(exchange.indexOf(refused), 1, turn);
		else exchange.push(turn);
		this.dispatchEvent(new CustomEvent("exchange", { detail: exchange }));
		if (!turn.running) return;
		this.dispatchEvent(new Event("state"));
		follow(turn);
	}
}
