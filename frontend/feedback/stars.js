/** One to five stars for one dimension; the chosen star pressed again takes the rating back. */
import { tellState } from "./part.js";

let groups = 0;

/** @type {PartView} */
export function starsOf(feedback, root) {
	const name = root.dataset.name ?? "";
	const stars = root.querySelectorAll("input");
	const group = `stars-${groups++}`;
	let chosen = 0;

	for (const star of stars) {
		const rating = Number(star.value);
		star.name = group;
		star.onchange = () => feedback.say(name, rating / 5);
		star.onclick = () => {
			if (rating === chosen) feedback.say(name, null);
		};
		star.onkeydown = (event) => {
			if (rating !== chosen || ![" ", "Delete", "Backspace"].includes(event.key)) return;
			event.preventDefault();
			feedback.say(name, null);
		};
	}
	return () => {
		const part = feedback.shown.get(name);
		chosen = typeof part?.value === "number" ? Math.round(part.value * 5) : 0;
		for (const star of stars) star.checked = Number(star.value) === chosen;
		tellState(root, part);
	};
}
