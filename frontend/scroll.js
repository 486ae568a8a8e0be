/** Keeps the newest text in view, but moves no reader who is not at the end. */
import { find } from "./element.js";

const NEAR_PX = 60;
const pane = find("#scroller");
const jump = find("#jump");
let pinned = true;
let lastTop = 0;

pane.addEventListener("scroll", look, { passive: true });
jump.onclick = () => {
	toEnd();
	pane.focus({ preventScroll: true });
};
const sizes = new ResizeObserver(() => (pinned ? toEnd() : look()));
sizes.observe(find(".column"));
sizes.observe(pane);

export function toEnd() {
	pane.scrollTop = pane.scrollHeight;
	look();
}

/** To the answer that the address names, else to the end. */
export function toTarget() {
	if (pinned) toEnd();
	document.getElementById(location.hash.slice(1))?.scrollIntoView();
	look();
	return true;
}

function look() {
	const top = pane.scrollTop;
	const near = pane.scrollHeight - pane.clientHeight - top < NEAR_PX;
	// Else it has only grown, or the reader has moved up.
	pinned = jump.hidden = near || (pinned && top > lastTop - 1);
	lastTop = top;
}
