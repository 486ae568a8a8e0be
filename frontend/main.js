/** Puts the page together. */
import * as chat from "./chat.js";
import * as connection from "./connection.js";
import { find } from "./element.js";
import { followLinks } from "./router.js";
import * as unsent from "./unsent.js";

connection.start();
chat.start();
followLinks();
sendUnsent();
window.addEventListener("online", sendUnsent);
window.addEventListener("storage", ({ key }) => {
	if (key !== "thumbprint.forgotten") return; // in another tab
	sessionStorage.clear();
	location.replace("/");
});

for (const example of document.querySelectorAll("[data-example]"))
	example.addEventListener("click", () => chat.ask(example.textContent));

document.addEventListener("keydown", (event) => {
	if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
	if (!document.querySelector("dialog[open], :popover-open") && chat.stop()) event.preventDefault();
});

// A drawer on narrow screens.
const sidebar = find("#sidebar");
sidebar.ontoggle = () => {
	find("#menu").ariaExpanded = String(sidebar.matches(":popover-open"));
};
window.addEventListener("popstate", () => sidebar.hidePopover());
matchMedia("(max-width: 50rem)").addEventListener("change", () => sidebar.hidePopover());

/** What earlier visits left. */
function sendUnsent() {
	if (unsent.all().length) import("./feedback/feedback.js").catch(() => {});
}
