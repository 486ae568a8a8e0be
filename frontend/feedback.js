/**
 * What the reader thinks of one turn: shown at once, kept in this browser until the server has
 * answered, rolled back when refused. A late answer never overwrites a newer choice.
 */
import { api } from "./api.js";

const THUMB = "user_feedback";
const PREFIX = "thumbprint.verdict.";
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const FIRST_LOOK_MS = 700;
const LONGEST_LOOK_MS = 10_000;
const WATCH_MS = 120_000;
/** @type {ShownVerdict} */
const NONE = { value: null, comment: "", state: "idle" };
/** @type {Map<string, Feedback>} */
const known = new Map();

/** The one object for a turn's feedback. */
export function feedbackOf(/** @type {string} */ turnId) {
	const feedback = known.get(turnId) ?? new Feedback(turnId);
	known.set(turnId, feedback);
	return feedback;
}

/** Send the verdicts an earlier visit left unsent. */
export function sendUnsent() {
	for (const key of Object.keys(localStorage))
		if (key.startsWith(PREFIX)) feedbackOf(key.slice(PREFIX.length)).start([]);
}

/** @param {FeedbackRecord[]} records @returns {ShownVerdict} */
function read(records) {
	const mine = records.find(({ name }) => name === THUMB);
	if (!mine) return NONE;
	const reason = "MLflow did not take it";
	return { value: mine.value === true, comment: mine.rationale ?? "", state: mine.state, reason };
}

class Feedback extends EventTarget {
	shown = NONE;
	#confirmed = NONE;
	/** @type {Verdict | null} */ #unsent = null;
	#sending = false;
	/** @type {(value?: unknown) => void} */ #wake = () => {};
	#turnId;

	constructor(/** @type {string} */ turnId) {
		super();
		this.#turnId = turnId;
	}

	/** Take the server's record, then carry on with what it has not confirmed yet. */
	start(/** @type {FeedbackRecord[]} */ records) {
		this.#confirmed = read(records);
		if (this.#unsent) return;
		const kept = localStorage.getItem(PREFIX + this.#turnId);
		if (kept) return this.want(JSON.parse(kept));
		this.#show(this.#confirmed);
		this.#watch();
	}

	want(/** @type {Verdict} */ verdict) {
		this.#unsent = verdict;
		try {
			localStorage.setItem(PREFIX + this.#turnId, JSON.stringify(verdict));
		} catch {} // full: then it lives as long as the page
		this.#show({ ...verdict, state: "sending" });
		this.#wake();
		if (!this.#sending) this.#send();
	}

	/** Send the newest verdict until answered: one request at a time, so that they stay in order. */
	async #send() {
		this.#sending = true;
		let wait = FIRST_RETRY_MS;
		for (let verdict = this.#unsent; verdict; verdict = this.#unsent) {
			const { value, comment } = verdict;
			const body = { is_correct: value, ...(comment && { comment }) };
			const id = this.#turnId;
			try {
				const answer = await (value === null
					? api.feedback("DELETE", `${id}&name=${THUMB}`)
					: api.feedback("POST", id, body));
				this.#settle(verdict, read(answer.feedback));
			} catch (error) {
				const { message: reason, passing, retryAfterMs } = /** @type {ApiError} */ (error);
				if (!passing) this.#settle(verdict, { ...this.#confirmed, state: "refused", reason });
				else {
					this.#show({ ...this.shown, state: "retrying" });
					await this.#pause(Math.max(wait * (0.5 + Math.random() / 2), retryAfterMs));
					wait = Math.min(wait * 2, LONGEST_RETRY_MS);
				}
			}
		}
		this.#sending = false;
		this.#watch();
	}

	/** @param {Verdict} verdict that was answered @param {ShownVerdict} answer */
	#settle(verdict, answer) {
		if (answer.state !== "refused") this.#confirmed = answer;
		if (this.#unsent !== verdict) return; // a newer one took its place
		this.#unsent = null;
		localStorage.removeItem(PREFIX + this.#turnId);
		this.#show(answer);
	}

	/** Wait, but not past a newer choice or the network's return. */
	#pause(/** @type {number} */ ms) {
		return new Promise((resolve) => {
			this.#wake = resolve;
			setTimeout(resolve, ms);
			window.addEventListener("online", resolve, { once: true });
		});
	}

	/** Follow a saved verdict until MLflow has it; give up quietly: it is saved. */
	async #watch() {
		const until = Date.now() + WATCH_MS;
		let { shown } = this;
		for (let ms = FIRST_LOOK_MS; Date.now() < until; ms = Math.min(ms * 1.5, LONGEST_LOOK_MS)) {
			if (shown.state !== "saved") return;
			await new Promise((resolve) => setTimeout(resolve, ms));
			if (shown !== this.shown) return;
			const answer = await api.feedback("GET", this.#turnId).catch(() => null);
			if (shown !== this.shown) return;
			if (answer) this.#show(read(answer.feedback));
			shown = this.#confirmed = this.shown;
		}
	}

	#show(/** @type {ShownVerdict} */ shown) {
		const same = JSON.stringify(this.shown) === JSON.stringify(shown);
		this.shown = shown;
		if (!same) this.dispatchEvent(new Event("change"));
	}
}
