/** The thumbs of one answer. What follows a verdict loads with the first one. */
import { find } from "./element.js";
import * as unsent from "./unsent.js";

const AGAIN_MS = 2000;
/** @type {Map<string, () => void>} by turn: when another tab judges */
const heeds = new Map();
unsent.onOthers((turn) => heeds.get(turn)?.());

/** @type {ThumbsOf} */
export function thumbsOf(turn, root) {
	const thumbs = find(".thumbs", root).querySelectorAll("button");
	const status = find(".feedback-state", root);
	let loading = false;
	let judged = false;
	let stale = false;
	/** @type {HTMLElement | null} pressed while that was loading */
	let pressed = null;

	function load() {
		if (loading) return;
		loading = true;
		document.head.append(find("template#feedback-files").content); // empty from then on
		import("./feedback/view.js").then(
			({ showFeedback }) => {
				showFeedback(turn, root, judged, stale);
				pressed?.click();
			},
			() => {
				if (status.textContent) tell("retrying", "Not sent yet. Will retry");
				loading = false;
				setTimeout(load, AGAIN_MS);
			},
		);
	}

	/** @type {Tell} */
	function tell(state, words) {
		status.dataset.state = state;
		status.textContent = words;
	}

	/** The first verdict is sent before anything is loaded: the tab may be closing. */
	function judge(/** @type {HTMLButtonElement} */ thumb) {
		const value = thumb.ariaPressed === "true" ? null : thumb.value === "true";
		const before = unsent.of(turn.id).some(({ name }) => name === unsent.THUMB);
		const wish = unsent.keep(turn.id, unsent.THUMB, value);
		if (!before) unsent.send(wish).catch(() => {}); // what is loaded tries again
		for (const each of thumbs) each.ariaPressed = String(each === thumb && value !== null);
		judged = true;
		tell("sending", "Saving…");
		load();
	}

	return () => {
		const { trace_id, feedback = [] } = turn.outcome ?? {};
		const before = feedback.some(({ name }) => !name.startsWith("implicit_"));
		for (const thumb of thumbs) {
			thumb.disabled = !trace_id;
			thumb.setAttribute("aria-describedby", trace_id ? "" : "never");
			thumb.title = (trace_id ? thumb.ariaLabel : find("#never").textContent) ?? "";
			thumb.onclick = () => {
				if (before) pressed = thumb;
				else judge(thumb);
			};
		}
		if (!trace_id) return;
		heeds.set(turn.id, () => {
			stale = true;
			load();
		});
		if (before || unsent.of(turn.id).length) load();
	};
}
