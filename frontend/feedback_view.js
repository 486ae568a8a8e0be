/** The thumbs of one answer, what became of the verdict, and the panel for a comment on it. */
import { find } from "./element.js";
import { feedbackOf } from "./feedback.js";
import { say } from "./notice.js";

const WORDS = {
	idle: "",
	sending: "Saving…",
	saved: "Saved",
	recorded: "Recorded in MLflow",
	retrying: "Not sent yet. Will retry",
	refused: "Not accepted: ",
};

/** @param {Turn} turn @param {HTMLElement} root @returns what to call when the turn has ended */
export function showFeedback(turn, root) {
	const feedback = feedbackOf(turn.id);
	const thumbs = find(".thumbs", root).querySelectorAll("button");
	const status = find(".feedback-state", root);
	const panel = find(".feedback-panel", root);
	const form = find(".comment-form", panel);
	const field = find("textarea", panel);
	const save = find(".comment-form .button", panel);
	let touched = false;
	let saved = "";

	function check() {
		const same = field.value.trim() === saved;
		const kept = same && saved && /saved|recorded/.test(feedback.shown.state);
		save.disabled = same;
		save.textContent = kept ? "Comment saved" : "Save comment";
	}

	function show() {
		const { value, comment, state, reason } = feedback.shown;
		for (const thumb of thumbs) thumb.ariaPressed = String(thumb.value === String(value));
		status.dataset.state = state;
		status.textContent = WORDS[state] + ((state === "refused" && reason) || "");
		panel.hidden = value === null || !(touched || comment);
		find("span", panel).textContent = `What ${value ? "was good" : "went wrong"}? (optional)`;
		if (value === null || field.value.trim() === saved) field.value = comment;
		saved = comment;
		check();
	}

	for (const thumb of thumbs)
		thumb.onclick = () => {
			const { value, comment } = feedback.shown;
			touched = true;
			const chosen = thumb.value === "true";
			if (value === chosen) feedback.want({ value: null, comment: "" });
			else feedback.want({ value: chosen, comment });
		};
	form.oninput = check;
	form.onkeydown = ({ key, ctrlKey, metaKey }) => {
		if (key === "Enter" && (ctrlKey || metaKey)) form.requestSubmit(save);
	};
	form.onsubmit = (event) => {
		event.preventDefault();
		feedback.want({ value: feedback.shown.value, comment: field.value.trim() });
	};
	feedback.changed = () => {
		show();
		if (feedback.shown.state !== "sending") say(status.textContent);
	};
	show();

	return () => {
		const { trace_id, feedback: records = [] } = turn.outcome ?? {};
		for (const thumb of thumbs) {
			thumb.disabled = !trace_id;
			thumb.setAttribute("aria-describedby", trace_id ? "" : "never");
			thumb.title = (trace_id ? thumb.ariaLabel : find("#never").textContent) ?? "";
		}
		if (trace_id) feedback.start(records);
	};
}
