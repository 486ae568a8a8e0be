/** What one can write about an answer: a comment or a correction, saved when its reader says so. */
import { find } from "../element.js";
import { CORRECTION, THUMB } from "../unsent.js";
import { tellState } from "./part.js";

/** @type {PartView} */
export function textOf(feedback, root) {
	const form = /** @type {HTMLFormElement} */ (root);
	const { name = "", limit } = form.dataset;
	const field = find("textarea", form);
	const button = find("button", form);
	let saved = "";

	/** Never disabled, which would lose the focus. */
	function check() {
		const text = field.value.trim();
		const over = [...text].length - Number(limit); // as the server counts
		const idle = text === saved || over > 0;
		button.ariaDisabled = String(idle);
		const part = feedback.shown.get(name);
		if (over > 0) {
			const reason = `too long by ${over.toLocaleString("en")} characters.`;
			tellState(form, { value: null, rationale: "", state: "refused", reason });
		} else {
			// Without a comment the thumb alone was said, and that is told beside it.
			tellState(form, name === CORRECTION || saved ? part : undefined);
		}
	}

	field.oninput = check;
	field.onkeydown = ({ key, ctrlKey, metaKey }) => {
		if (key === "Enter" && (ctrlKey || metaKey)) form.requestSubmit();
	};
	form.onsubmit = (event) => {
		event.preventDefault();
		if (button.ariaDisabled === "true") return;
		const text = field.value.trim();
		if (name === CORRECTION) feedback.say(name, text || null);
		else feedback.say(name, feedback.shown.get(THUMB)?.value, text);
	};
	return () => {
		const { value, rationale = "" } = feedback.shown.get(name) ?? {};
		const text = name === CORRECTION ? String(value ?? "") : rationale;
		// What is written and not saved stays, also when what was saved is taken back.
		if (text && field.value.trim() === saved) field.value = text;
		saved = text;
		form.hidden = name === CORRECTION && feedback.shown.get(THUMB)?.value !== false;
		check();
	};
}
