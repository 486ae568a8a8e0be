/** Reasons to choose from, one set of chips for up and another for down. */
import { THUMB } from "../unsent.js";
import { REASONS } from "./feedback.js";
import { tellState } from "./part.js";

/** @type {PartView} */
export function reasonsOf(feedback, root) {
	const up = root.dataset.side === "up";
	const chips = [...root.querySelectorAll("button")];
	const isOn = (/** @type {HTMLButtonElement} */ chip) => chip.ariaPressed === "true";
	for (const chip of chips)
		chip.onclick = () => {
			const chosen = chips.filter((each) => isOn(each) !== (each === chip));
			const reasons = chosen.map(({ value }) => value);
			feedback.say(REASONS, reasons.length ? reasons : null);
		};
	return () => {
		const part = feedback.shown.get(REASONS);
		const chosen = /** @type {string[]} */ (part?.value ?? []);
		root.hidden = feedback.shown.get(THUMB)?.value !== up;
		for (const chip of chips) chip.ariaPressed = String(chosen.includes(chip.value));
		tellState(root, part);
	};
}
