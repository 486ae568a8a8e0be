/** What was said of one answer: the pressed thumb, what became of it all, and the panel for more. */
import { find } from "../element.js";
import { say } from "../notice.js";
import { THUMB } from "../unsent.js";
import { feedbackOf, press } from "./feedback.js";
import { panelOf } from "./panel.js";

/** The worst first: it speaks for all. @type {[string, string][]} */
const WORDS = [
	["refused", "Not accepted: "],
	["retrying", "Not sent yet. Will retry"],
	["sending", "Saving…"],
	["saved", "Saved"],
	["recorded", "Recorded in MLflow"],
];
const SETTLED = ["saved", "recorded", "idle"];

/** @param {Turn} turn @param {HTMLElement} root @param {boolean} judged just now, so offer more */
export function showFeedback(turn, root, judged) {
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
		tell(parts, opens && asked);
	}

	/** Heard once for each change: when it is settled, not again when MLflow has it. */
	function tell(/** @type {Part[]} */ parts, opened = false) {
		const before = status.dataset.state ?? "";
		const worst = WORDS.find(([state]) => parts.some((part) => part.state === state));
		const [state, words] = worst ?? ["idle", ""];
		const { reason } = parts.find((part) => part.state === "refused") ?? {};
		const changed = state !== before;
		status.dataset.state = state;
		status.textContent = words + (state === "refused" ? reason : "");
		if (opened) say("Below the answer you can say more.");
		else if (state === "idle" && changed) say("Taken back.");
		else if (state !== "sending" && changed && !SETTLED.includes(before)) say(status.textContent);
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
	show();
}
