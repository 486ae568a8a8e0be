/** What one can add to a thumb: reasons, stars, a comment, a correction. Each is saved on its own. */
import { copyOf, find } from "../element.js";
import { THUMB } from "../unsent.js";
import { reasonsOf } from "./reasons.js";
import { starsOf } from "./stars.js";
import { textOf } from "./text.js";

/** @type {Record<string, PartView>} */
const KINDS = { ".reasons": reasonsOf, ".rating": starsOf, ".text": textOf };

/** @param {Feedback} feedback @param {HTMLElement} answer which gets it at its end */
export function panelOf(feedback, answer) {
	const panel = copyOf("panel");
	const views = Object.entries(KINDS).flatMap(([selector, kind]) => {
		/** @type {NodeListOf<HTMLElement>} */
		const parts = panel.querySelectorAll(selector);
		return [...parts].map((part) => kind(feedback, part));
	});
	answer.append(panel);

	/** @type {Update} */
	return () => {
		const { value = null } = feedback.shown.get(THUMB) ?? {};
		const focused = panel.contains(document.activeElement) && document.activeElement;
		panel.hidden = value === null;
		for (const update of views) update();
		if (focused && !focused.checkVisibility()) find(".thumbs button", answer).focus();
	};
}
