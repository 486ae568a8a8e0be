/** What was said under a name, for a reader: its name, and its value in words, chips or stars. */
import { copyOf, element } from "../element.js";
import { REASONS } from "../feedback/feedback.js";
import { CORRECTION, THUMB } from "../unsent.js";

/** Not an object, which has names of its own, as `constructor`. */
const NAMES = new Map([
	[THUMB, "Verdict"],
	[REASONS, "Reasons"],
	[CORRECTION, "Should have said"],
]);

export function nameOf(/** @type {string} */ name) {
	const words = name.replace(/^user_/, "").replace(/_/g, " ");
	return NAMES.get(name) ?? words.charAt(0).toUpperCase() + words.slice(1);
}

/** The order of the panel; what came by other ways is last. */
export function placeOf(/** @type {string} */ name) {
	const place = [THUMB, REASONS].indexOf(name);
	if (place >= 0) return place;
	if (name === CORRECTION) return 3;
	return name.startsWith("user_") ? 2 : 4;
}

/** @param {string} name @param {unknown} value @returns {(Node | string)[]} */
export function inWords(name, value) {
	if (value === null) return ["Taken back"];
	if (name === THUMB) return [value ? "Good answer" : "Bad answer"];
	if (Array.isArray(value))
		return value.map((each) => Object.assign(element("span", each), { className: "chip" }));
	if (typeof value === "boolean") return [value ? "Yes" : "No"];
	if (typeof value !== "number") return [String(value)];
	const count = Math.round(value * 5);
	const isRating = name.startsWith("user_") && count >= 1 && count <= 5 && count / 5 === value;
	return isRating ? [starsOf(count)] : [value.toLocaleString("en")];
}

function starsOf(/** @type {number} */ count) {
	const stars = copyOf("stars");
	stars.ariaLabel = `${count} of 5 stars`;
	for (const star of [...stars.children].slice(0, count)) star.classList.add("full");
	return stars;
}
