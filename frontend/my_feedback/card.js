/** One answer and all that was said of it, each part with its state and a way to take it back. */
import { copyOf, find } from "../element.js";
import { feedbackOf, press } from "../feedback/feedback.js";
import { tellState } from "../feedback/part.js";
import { summarize } from "../feedback/summary.js";
import { inline } from "../inline.js";
import { THUMB } from "../unsent.js";
import { inWords, nameOf, placeOf } from "./value.js";

/** @param {SaidRecord} about its newest part @param {() => void} changed @returns {Card} */
export function cardOf(about, changed) {
	const feedback = feedbackOf(about.client_request_id);
	const node = copyOf("card");
	const list = find(".said", node);
	const thumbs = find(".thumbs", node).querySelectorAll("button");
	const time = find("time", node);
	/** @type {Map<string, HTMLElement>} kept while it is said, so that none loses the focus */
	const rows = new Map();

	for (const link of node.querySelectorAll("a"))
		link.href = `/c/${about.conversation_id}#${about.client_request_id}`;
	find("h2 a", node).textContent = about.question;
	// It is short, so all its steps are taken at once.
	for (const _ of inline(find(".excerpt", node), about.answer.replace(/\s+/g, " ")));
	time.dateTime = about.updated_at;
	time.textContent = new Date(about.updated_at).toLocaleString("en", {
		dateStyle: "medium",
		timeStyle: "short",
	});
	for (const thumb of thumbs) thumb.onclick = () => press(feedback, thumb.value === "true");

	/** @param {string} key @param {string} label @param {Part} part @param {(Node | string)[]} value */
	function showRow(key, label, part, value) {
		const row = rows.get(key) ?? copyOf("said");
		const button = find("button", row);
		rows.set(key, row);
		find(".name", row).textContent = label;
		find(".value", row).replaceChildren(...value);
		button.textContent = key === THUMB ? "Take all back" : "Take back";
		button.ariaLabel = `${button.textContent}: ${label}`;
		button.hidden = part.value === null;
		tellState(row, part);
		return row;
	}

	/** A part, and below it the comment on it. @param {[string, Part]} named */
	function rowsOf([name, part]) {
		const row = showRow(name, nameOf(name), part, inWords(name, part.value));
		find("button", row).onclick = () =>
			name === THUMB ? press(feedback, part.value === true) : feedback.say(name, null);
		if (!part.rationale) return [row];
		// No name has a #.
		const comment = showRow(`#comment ${name}`, "Comment", part, [part.rationale]);
		find("button", comment).onclick = () => feedback.say(name, part.value, "");
		return [row, comment];
	}

	function show() {
		const { shown } = feedback;
		const focused = list.contains(document.activeElement);
		const thumb = shown.get(THUMB);
		for (const each of thumbs) each.ariaPressed = String(each.value === String(thumb?.value));
		const said = [...shown].filter(([, { value, state }]) => value !== null || state !== "sending");
		const parts = said.sort(([one], [other]) => placeOf(one) - placeOf(other));
		const now = parts.flatMap(rowsOf);
		for (const row of list.querySelectorAll("li")) if (!now.includes(row)) row.remove();
		for (const [index, row] of now.entries())
			if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
		summarize(find(".feedback-state", node), [...shown.values()]);
		if (focused && !list.contains(document.activeElement))
			(list.querySelector("button") ?? find("h2 a", node)).focus();
		changed();
	}

	/** @type {FeedbackRecord[]} */
	const records = [];
	feedback.changed = show;
	return {
		node,
		take(record) {
			records.push(record);
			feedback.start(records);
			show();
		},
	};
}
