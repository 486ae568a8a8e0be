/** One line for all that was said of an answer, seen, and heard where something has changed. */
import { say } from "../notice.js";

/** The worst first: it speaks for all. @type {[string, string][]} */
const WORDS = [
	["refused", "Not accepted: "],
	["retrying", "Not sent yet. Will retry"],
	["sending", "Saving…"],
	["saved", "Saved"],
	["recorded", "Recorded in MLflow"],
];
const SETTLED = ["saved", "recorded", "idle"];

/**
 * Heard once for each change: when it is settled, not again when MLflow has it.
 * @param {HTMLElement} status the line @param {Part[]} parts @param {string} instead to be heard
 */
export function summarize(status, parts, instead = "") {
	const before = status.dataset.state ?? "";
	const worst = WORDS.find(([state]) => parts.some((part) => part.state === state));
	const [state, words] = worst ?? ["idle", ""];
	const { reason } = parts.find((part) => part.state === "refused") ?? {};
	const changed = state !== before;
	status.dataset.state = state;
	status.textContent = words + (state === "refused" ? reason : "");
	if (instead) say(instead);
	else if (state === "idle" && changed) say("Taken back.");
	else if (state !== "sending" && changed && !SETTLED.includes(before)) say(status.textContent);
}
