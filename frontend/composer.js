/** Where questions are written: grows with the text, keeps a draft, sends, and stops. */
import { find } from "./element.js";

const form = find("#composer");
const field = find("#question");
const send = find("#send");
const stop = find("#stop");
const limit = Number(document.body.dataset.maxMessageChars);
let running = false;
let draft = "";

/** @param {{ask(text: string): void, stop(): void}} chat */
export function start(chat) {
	field.oninput = changed;
	field.onkeydown = (event) => {
		// keyCode 229: in Safari, the Enter that ends a composition.
		if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229)
			return;
		event.preventDefault();
		form.requestSubmit();
	};
	form.onsubmit = (event) => {
		event.preventDefault();
		if (send.disabled) return;
		const text = field.value.trim();
		write("");
		chat.ask(text);
	};
	stop.onclick = () => chat.stop();
}

/** Turn to a conversation: its draft comes back. */
export function turnTo(conversationId = "new") {
	draft = `thumbprint.draft.${conversationId}`;
	write(sessionStorage.getItem(draft) ?? "");
	focus();
}

/** Not where that would open a keyboard over the answer. */
export function focus() {
	if (matchMedia("(pointer: fine)").matches) field.focus();
}

export function showRunning(/** @type {boolean} */ now) {
	const focused = document.activeElement === stop;
	running = send.hidden = now;
	stop.hidden = !now;
	changed();
	if (focused && !now) focus();
}

function write(/** @type {string} */ text) {
	field.value = text;
	changed();
}

function changed() {
	if (field.value) sessionStorage.setItem(draft, field.value);
	else sessionStorage.removeItem(draft);
	if (!CSS.supports("field-sizing", "content")) {
		field.style.height = "auto";
		field.style.height = `${field.scrollHeight}px`;
	}
	const used = [...field.value.trim()].length; // as the server counts
	const over = used > limit;
	const [shown, most, by] = [used, limit, used - limit].map((n) => n.toLocaleString("en"));
	const count = used > limit * 0.9 ? `${shown} of ${most} characters` : "";
	const hint = find("#hint");
	send.disabled = running || over || !used;
	hint.textContent = over ? `${count}: too long to send by ${by}.` : count;
	hint.classList.toggle("over", over);
}
