/** What was said of one answer: the pressed thumb, what became of it all, and the panel for more. */
import { find } from "../element.js";
import { THUMB } from "../unsent.js";
import { feedbackOf, press } from "./feedback.js";
import { panelOf } from "./panel.js";
import { summarize } from "./summary.js";

/**
 * @param {Turn} turn @param {HTMLElement} root @param {boolean} judged just now, so offer more
 * @param {boolean} stale another tab has judged since the turn was fetched
 */
export function showFeedback(turn, root, judged, stale) {
	const feedback = feedbackOf(turn.id);
	const thumbs = find(".thumbs", root).querySelectorAll("button");
	const status = find(".feedback-state", root);
	const more = find(".say-more", root);
	/** @type {Update | null} */
	let panel = null;
	let asked = judged;

	function show() {
		const parts = [...feedback.shown.values()];
		const { value = null, rationale } = feedback.shown.get(THUMB) ?? {};
		for (const thumb of thumbs) thumb.ariaPressed = String(thumb.value === String(value));
		const said = parts.filter((part) => part.value !== null);
		const saysMore = rationale !== "" || said.length > 1;
		const opens = !panel && value !== null && (asked || saysMore);
		if (opens) panel = panelOf(feedback, root);
		panel?.();
		more.hidden = value === null || panel !== null;
		summarize(status, parts, opens && asked ? "Below the answer you can say more." : "");
	}

	for (const thumb of thumbs)
		thumb.onclick = () => {
			asked = true;
			press(feedback, thumb.value === "true");
		};
	more.onclick = () => {
		asked = true;
		show();
		find(".panel", root).focus();
	};
	feedback.changed = show;
	feedback.start(turn.outcome?.feedback ?? []);
	if (stale) feedback.lookAgain();
	show();
}
