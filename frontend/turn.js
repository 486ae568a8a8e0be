/** One question with one answer: the text so far, the last `seq`, and how it ended. */

/** Not randomUUID, which plain-HTTP origins lack. */
const newId = () => `c-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;

/** Emits "text" (more of it, or stopping) and "state" (begun, stopping, ended). */
export class Turn extends EventTarget {
	seq = -1;
	text = "";
	/** To the server: it is then resumed, never asked again. */
	known = false;
	stopping = false;
	askedAt = Date.now();
	/** @type {Outcome | null} */ outcome = null;

	/** @param {string} question @param {string} [conversationId] @param {string} [replaces] */
	constructor(question, conversationId, replaces, id = newId()) {
		super();
		this.question = question;
		this.conversationId = conversationId;
		this.replaces = replaces;
		this.id = id;
	}

	get running() {
		return !this.outcome;
	}

	/** False when a frame before it is missing: resume from `seq`. */
	accept(/** @type {Frame} */ frame) {
		const { type, seq = this.seq } = frame;
		if (!this.running || seq <= this.seq) return true;
		if (seq > this.seq + 1) return false;
		this.seq = seq;
		this.known = true;
		if (type === "start") {
			this.conversationId = frame.conversation_id;
			this.#tell("state");
		} else if (type === "token") {
			this.text += frame.content;
			this.#tell("text");
		} else if (type === "done") {
			this.end({ ...frame, ending: frame.finish_reason === "stopped" ? "stopped" : "complete" });
		} else if (type === "error") {
			const ending = frame.code === "interrupted" ? "interrupted" : "failed";
			this.end({ ...frame, ending, error: { ...frame, message: frame.error } });
		}
		return true;
	}

	stop() {
		this.stopping = true;
		this.#tell("text");
		this.#tell("state");
	}

	settle(/** @type {TurnRecord} */ record) {
		this.known = true;
		this.askedAt = Date.parse(record.created_at) || this.askedAt;
		if (!this.running || record.ending === "running") return;
		this.text = record.answer;
		this.end(record);
	}

	end(/** @type {Outcome} */ outcome) {
		this.outcome ??= outcome;
		this.#tell("state");
	}

	#tell(/** @type {string} */ name) {
		this.dispatchEvent(new Event(name));
	}
}
