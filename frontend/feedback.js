/** What the reader thinks of a turn: shown at once, and kept here until the server has answered. */
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
/** @type {Map<string, Feedback>} one for each turn */
const known = new Map();

export function feedbackOf(/** @type {string} */ turnId) {
	const feedback = known.get(turnId) ?? begin(turnId);
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

function begin(/** @type {string} */ turnId) {
	const key = PREFIX + turnId;
	let confirmed = NONE;
	/** @type {Verdict | null} */
	let unsent = null;
	let sending = false;
	/** @type {(value?: unknown) => void} */
	let wake = () => {};
	/** @type {Feedback} */
	const feedback = {
		shown: NONE,
		changed() {},
		start(records) {
			confirmed = read(records);
			if (unsent) return;
			const kept = localStorage.getItem(key);
			if (kept) return feedback.want(JSON.parse(kept));
			show(confirmed);
			watch();
		},
		want(verdict) {
			unsent = verdict;
			try {
				localStorage.setItem(key, JSON.stringify(verdict));
			} catch {} // full: then it lives as long as the page
			show({ ...verdict, state: "sending" });
			wake();
			if (!sending) send();
		},
	};

	/** Until answered; one request at a time, so that they stay in order. */
	async function send() {
		sending = true;
		let wait = FIRST_RETRY_MS;
		for (let verdict = unsent; verdict; verdict = unsent) {
			const { value, comment } = verdict;
			const body = { is_correct: value, ...(comment && { comment }) };
			try {
				const answer = await (value === null
					? api.feedback("DELETE", `${turnId}&name=${THUMB}`)
					: api.feedback("POST", turnId, body));
				settle(verdict, read(answer.feedback));
			} catch (error) {
				const { message: reason, passing, retryAfterMs } = /** @type {ApiError} */ (error);
				if (!passing) settle(verdict, { ...confirmed, state: "refused", reason });
				else {
					show({ ...feedback.shown, state: "retrying" });
					await pause(Math.max(wait * (0.5 + Math.random() / 2), retryAfterMs));
					wait = Math.min(wait * 2, LONGEST_RETRY_MS);
				}
			}
		}
		sending = false;
		watch();
	}

	/** @param {Verdict} verdict @param {ShownVerdict} answer to it */
	function settle(verdict, answer) {
		if (answer.state !== "refused") confirmed = answer;
		if (unsent !== verdict) return; // a newer one took its place
		unsent = null;
		localStorage.removeItem(key);
		show(answer);
	}

	/** Wait, but not past a newer choice or the network's return. */
	function pause(/** @type {number} */ ms) {
		return new Promise((resolve) => {
			wake = resolve;
			setTimeout(resolve, ms);
			window.addEventListener("online", resolve, { once: true });
		});
	}

	/** Until MLflow has it; gives up quietly: it is saved. */
	async function watch() {
		const until = Date.now() + WATCH_MS;
		let { shown } = feedback;
		for (let ms = FIRST_LOOK_MS; Date.now() < until; ms = Math.min(ms * 1.5, LONGEST_LOOK_MS)) {
			if (shown.state !== "saved") return;
			await pause(ms);
			if (shown !== feedback.shown) return;
			const answer = await api.feedback("GET", turnId).catch(() => null);
			if (shown !== feedback.shown) return;
			if (answer) show(read(answer.feedback));
			shown = confirmed = feedback.shown;
		}
	}

	function show(/** @type {ShownVerdict} */ shown) {
		const same = JSON.stringify(feedback.shown) === JSON.stringify(shown);
		feedback.shown = shown;
		if (!same) feedback.changed();
	}

	return feedback;
}
