/** Keeps the newest text in view, but never moves a reader who is not at the end. */
import { find } from "./element.js";

const NEAR_PX = 60;
const scroller = find("#scroller");
const jump = find("#jump");
let pinned = true;

scroller.addEventListener("scroll", look, { passive: true });
jump.onclick = () => {
	toEnd();
	scroller.focus({ preventScroll: true });
};
const sizes = new ResizeObserver(() => (pinned ? toEnd() : look()));
sizes.observe(find(".column"));
sizes.observe(scroller);

export function toEnd() {
	scroller.scrollTop = scroller.scrollHeight;
	pinned = jump.hidden = true;
}

/** To the answer that the address names, else to the end. */
export function toTarget() {
	if (pinned) toEnd();
	document.getElementById(location.hash.slice(1))?.scrollIntoView();
	look();
	return true;
}

function look() {
	const { scrollHeight, scrollTop, clientHeight } = scroller;
	pinned = jump.hidden = scrollHeight - scrollTop - clientHeight < NEAR_PX;
}
