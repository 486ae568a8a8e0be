/** Says what happened: to screen readers at boundaries only, to everyone when something went wrong. */
import { element, find } from "./element.js";

const SHOWN_MS = 8000;
let timer = 0;

export function say(/** @type {string} */ sentence) {
	if (sentence) find("#announcements").replaceChildren(element("p", sentence));
}

/** Where everyone sees it, for a while. */
export function show(/** @type {string} */ sentence) {
	const notice = find("#notice");
	say(sentence);
	notice.textContent = sentence;
	notice.hidden = false;
	clearTimeout(timer);
	timer = setTimeout(() => (notice.hidden = true), SHOWN_MS);
}

/** @type {Copy} */
export async function copy(button, text) {
	let words = "Copied";
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		words = "Could not copy"; // as on plain-HTTP origins, which have no clipboard
	}
	button.dataset.copied = words;
	say(`${words}.`);
	setTimeout(() => delete button.dataset.copied, 1600);
}
