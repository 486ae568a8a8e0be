/** One answer and all that was said of it, each part with its state and a way to take it back. */
import { copyOf, find } from "../element.js";
import { feedbackOf, press } from "../feedback/feedback.js";
import { tellState } from "../feedback/part.js";
import { summarize } from "../feedback/summary.js";
import { inline } from "../inline.js";
import { THUMB } from "../unsent.js";
import { inWords, nameOf, placeOf } from "./value.js";

const COMMENT = "comment";

/** @param {SaidRecord} about its newest part @returns {Card} */
export function cardOf(about) {
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

	/** @param {string} key a part's name, or the comment, which is part of the verdict */
	function takeBack(key) {
		const { value } = feedback.shown.get(THUMB) ?? {};
		if (key === THUMB) press(feedback, value === true);
		else if (key === COMMENT) feedback.say(THUMB, value, "");
		else feedback.say(key, null);
	}

	/** @param {string} key @param {Part} part @param {(Node | string)[]} value */
	function showRow(key, part, value) {
		const row = rows.get(key) ?? copyOf("said");
		const button = find("button", row);
		rows.set(key, row);
		find(".name", row).textContent = nameOf(key);
		find(".value", row).replaceChildren(...value);
		button.textContent = key === THUMB ? "Take all back" : "Take back";
		button.ariaLabel = `${button.textContent}: ${nameOf(key)}`;
		button.onclick = () => takeBack(key);
		button.hidden = part.value === null;
		tellState(row, part);
		return row;
	}

	function show() {
		const { shown } = feedback;
		const focused = list.contains(document.activeElement);
		const thumb = shown.get(THUMB);
		for (const each of thumbs) each.ariaPressed = String(each.value === String(thumb?.value));
		const said = [...shown].filter(([, { value, state }]) => value !== null || state !== "sending");
		const parts = said.sort(([one], [other]) => placeOf(one) - placeOf(other));
		const now = parts.map(([name, part]) => showRow(name, part, inWords(name, part.value)));
		if (thumb?.rationale) now.splice(1, 0, showRow(COMMENT, thumb, [thumb.rationale]));
		for (const row of list.querySelectorAll("li")) if (!now.includes(row)) row.remove();
		for (const [index, row] of now.entries())
			if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
		summarize(find(".feedback-state", node), [...shown.values()]);
		if (focused && !list.contains(document.activeElement))
			(list.querySelector("button") ?? find("h2 a", node)).focus();
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
