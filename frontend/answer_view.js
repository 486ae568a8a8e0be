/** One answer on the page: its text, progress and ending, and what one can do with it. */
import { copyOf, find } from "./element.js";
import { copy, say } from "./notice.js";
import { paint } from "./painter.js";
import { proseIn } from "./prose.js";
import { thumbsOf } from "./thumbs.js";
import { note } from "./unsent.js";

const SECONDS_SHOWN_AFTER = 4;
const QUIET_AFTER = 8;

/** @type {AnswerView} */
export function answerView(turn, again) {
	const node = copyOf("answer");
	const render = proseIn(find(".prose", node));
	const progress = find(".progress", node);
	const allowFeedback = thumbsOf(turn, node);
	let noted = document.body.dataset.signals !== "true";
	let heardAt = Date.now();

	/** @type {Job} */
	const draw = (deadline) => {
		const { text, outcome } = turn;
		const drawn = render(text, outcome?.html, deadline);
		// Said only when the text is in place as well.
		if (drawn && outcome) node.dataset.ending = outcome.ending;
		return drawn;
	};

	function showProgress() {
		const seconds = Math.floor((Date.now() - turn.askedAt) / 1000);
		let words = turn.text ? "" : "Thinking…";
		if (Date.now() - heardAt >= QUIET_AFTER * 1000) words = "Still working…";
		if (turn.stopping) words = "Stopping…";
		if (words && seconds >= SECONDS_SHOWN_AFTER) words += ` ${seconds} s`;
		find("span + span", progress).textContent = words;
	}

	function grow() {
		// The text now stands where the progress stood.
		if (turn.text && progress.matches(".prose + *")) find(".actions", node).append(progress);
		heardAt = Date.now();
		showProgress();
		paint(draw);
	}

	function finish(/** @type {Outcome} */ outcome) {
		const { ending, error, trace_id, finish_reason } = outcome;
		const note = find(".note", node);
		const usual = note.dataset[ending] ?? note.dataset[finish_reason ?? ""] ?? "";
		const words = (ending === "failed" && error?.message) || usual;
		progress.remove();
		if (trace_id) node.dataset.traceId = trace_id;
		node.toggleAttribute("data-empty", turn.text === "");
		find("span", note).textContent = words;
		note.dataset.kind = ending;
		note.hidden = !words;
		const retryable = ending === "failed" && error?.retryable !== false;
		if (!retryable && ending !== "interrupted") find("button", note).remove();
		allowFeedback();
		paint(draw);
		return words;
	}

	node.dataset.clientRequestId = node.id = turn.id;
	node.onclick = ({ target }) => {
		const button = target instanceof Element ? target.closest("button") : null;
		const hook = button?.dataset.testid ?? "";
		if (hook === "retry" || hook === "regenerate") again(turn);
		else if (button && hook.startsWith("copy")) {
			copy(button, button.closest("figure")?.querySelector("pre")?.textContent ?? turn.text);
			if (noted || !turn.outcome?.trace_id) return;
			note(turn.id, "implicit_copy");
			noted = true;
		}
	};
	if (turn.outcome) {
		finish(turn.outcome);
		return node;
	}
	const timer = setInterval(showProgress, 1000);
	grow();
	say("Answering…");
	turn.addEventListener("text", grow);
	turn.addEventListener("state", () => {
		if (!turn.outcome) return;
		clearInterval(timer);
		say(finish(turn.outcome) || "Answer finished.");
	});
	return node;
}
