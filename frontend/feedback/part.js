/** How far one part of the feedback has come, in a word or two beside it. */
import { find } from "../element.js";

const WORDS = {
	sending: "Saving…",
	saved: "Saved",
	recorded: "Recorded",
	retrying: "Will retry",
	refused: "Not accepted: ",
};

/** @param {HTMLElement} root the part's element @param {Part} [part] none: nothing was said */
export function tellState(root, part) {
	const node = find(".part-state", root);
	node.dataset.state = part?.state ?? "idle";
	node.textContent = part ? WORDS[part.state] : "";
	if (part?.state === "refused") node.append(part.reason ?? "");
}
