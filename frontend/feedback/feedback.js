/** What the reader says of a turn, part by part: shown at once, sent in order, kept until answered. */
import { api } from "../api.js";
import * as unsent from "../unsent.js";
import { CORRECTION, THUMB } from "../unsent.js";

export const REASONS = "user_reasons";
const SIGNAL = /^implicit_/;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const FIRST_LOOK_MS = 700;
const MOST_LOOKS = 15;
/** What another tab has just said is its own to send, unless it is gone by then. */
const OTHERS_MS = 2000;
/** @type {Map<string, Feedback>} one for each turn */
const known = new Map();

function each(/** @type {"wake" | "flush"} */ act) {
	return () => {
		for (const one of known.values()) one[act]();
	};
}

export function feedbackOf(/** @type {string} */ turnId) {
	const feedback = known.get(turnId) ?? begin(turnId);
	known.set(turnId, feedback);
	return feedback;
}

/** Press a thumb: the first time, over to the other one, or again, which takes everything back. */
export function press(/** @type {Feedback} */ { shown, say }, /** @type {boolean} */ up) {
	const { value, rationale = "" } = shown.get(THUMB) ?? {};
	if (value === up) {
		for (const name of shown.keys()) say(name, null);
		return;
	}
	say(THUMB, up, rationale);
	// Reasons differ for up and down, and what was good needs no correction.
	for (const name of up ? [REASONS, CORRECTION] : [REASONS]) if (shown.has(name)) say(name, null);
}

/** @param {FeedbackRecord[]} records @returns {Map<string, Part>} */
function read(records) {
	const reason = "MLflow did not take it";
	return new Map(
		records.map(({ name, value, rationale, state }) => {
			return [name, { value, rationale: rationale ?? "", state, reason }];
		}),
	);
}

/** @returns {Feedback} */
function begin(/** @type {string} */ turnId) {
	/** @type {Map<string, Part>} what the server said last */
	let confirmed = new Map();
	let heard = 0;
	/** @type {Map<string, string>} why the last wish under a name was refused */
	const refused = new Map();
	/** Keys of wishes made here and not tried yet. */
	const fresh = new Set();
	let sending = false;
	let retrying = false;
	let resume = () => {};
	/** Others said more than `confirmed` has. */
	let stale = false;
	let looks = 0;
	let timer = 0;
	const wishes = () => unsent.of(turnId);

	/** @type {Feedback} */
	const feedback = {
		shown: new Map(),
		changed() {},
		wake() {
			resume();
			deliver();
		},
		start(records) {
			if (heard) return feedback.lookAgain(); // these may be older
			confirmed = read(records);
			deliver();
			show();
		},
		say(name, value, rationale = "") {
			for (const wish of wishes())
				if (wish.name === name && fresh.delete(wish.key)) unsent.drop(wish.key);
			fresh.add(unsent.keep(turnId, name, value, rationale).key);
			refused.delete(name);
			retrying = false;
			looks = 0;
			feedback.wake(); // at once: the tab may be closing
			show();
		},
		lookAgain() {
			stale = true;
			looks = 0;
			show();
			if (wishes().length) setTimeout(deliver, OTHERS_MS);
			else look();
		},
		flush() {
			const names = wishes().map(({ name }) => name);
			for (const wish of wishes())
				if (names.indexOf(wish.name) === names.lastIndexOf(wish.name) && fresh.delete(wish.key))
					unsent.send(wish).catch(() => {});
		},
	};

	/** One at a time, oldest first, so that none arrives after a newer one. */
	async function deliver() {
		if (sending) return;
		sending = true;
		let wait = FIRST_RETRY_MS;
		for (let [wish] = wishes(); wish; [wish] = wishes()) {
			fresh.delete(wish.key);
			try {
				hear(await unsent.send(wish));
				refused.delete(wish.name);
			} catch (error) {
				const { message, passing, retryAfterMs } = /** @type {ApiError} */ (error);
				retrying = passing;
				if (passing) {
					show();
					await pause(Math.max(wait * (0.5 + Math.random() / 2), retryAfterMs));
					wait = Math.min(wait * 2, LONGEST_RETRY_MS);
					continue;
				}
				refused.set(wish.name, message);
			}
			unsent.drop(wish.key);
			show();
		}
		sending = false;
		show();
	}

	function hear(/** @type {FeedbackAnswer} */ answer) {
		confirmed = read(answer.feedback);
		retrying = stale = false;
		heard++;
	}

	/** Wait, but not past a newer choice or the network's return. */
	function pause(/** @type {number} */ ms) {
		return new Promise((resolve) => {
			resume = () => resolve(null);
			setTimeout(resolve, ms);
		});
	}

	/** An answer that another overtook is passed over. */
	async function look() {
		const before = heard;
		const path = `/feedback?client_request_id=${turnId}`;
		const answer = await api.call("GET", path).catch(({ passing }) => {
			stale &&= passing;
		});
		if (answer && before === heard) hear(answer);
		show();
	}

	/** What the server said, and on top what it has not answered yet. */
	function show() {
		const shown = new Map(confirmed);
		for (const [name, reason] of refused) {
			const { value = null, rationale = "" } = shown.get(name) ?? {};
			shown.set(name, { value, rationale, state: "refused", reason });
		}
		const state = sending && !retrying ? "sending" : "retrying";
		for (const { name, value, rationale } of wishes()) shown.set(name, { value, rationale, state });
		for (const name of shown.keys()) if (SIGNAL.test(name)) shown.delete(name);
		const same = JSON.stringify([...feedback.shown]) === JSON.stringify([...shown]);
		feedback.shown = shown;
		if (!same) feedback.changed();
		// Until MLflow has it all; gives up quietly: it is saved.
		clearTimeout(timer);
		const waiting = stale || [...shown.values()].some((part) => part.state === "saved");
		if (waiting && looks < MOST_LOOKS) timer = setTimeout(look, FIRST_LOOK_MS * 1.3 ** looks++);
	}

	return feedback;
}

// What earlier visits left is sent now, or when it can be; what other tabs say is seen.
for (const { turn } of unsent.all()) feedbackOf(turn);
each("wake")();
window.addEventListener("online", each("wake"));
window.addEventListener("pagehide", each("flush"));
unsent.onOthers((turn) => feedbackOf(turn).lookAgain());
