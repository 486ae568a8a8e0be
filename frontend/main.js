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

for (const example of document.querySelectorAll("[data-example]"))
	example.addEventListener("click", () => chat.ask(example.textContent));

document.addEventListener("keydown", (event) => {
	if (event.key !== "Escape" || event.defaultPrevented || event.keyCode === 229) return;
	if (!document.querySelector("dialog[open], :popover-open") && chat.stop()) event.preventDefault();
});

// A drawer on narrow screens.
const shut = () => find("#sidebar").hidePopover();
window.addEventListener("popstate", shut);
matchMedia("(max-width: 50rem)").addEventListener("change", shut);

/** What earlier visits left. */
function sendUnsent() {
	if (unsent.all().length) import("./feedback/feedback.js").catch(() => {});
}
