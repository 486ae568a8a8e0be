/** Where questions are written: grows with the text, keeps a draft, sends, and stops. */
import { find } from "./element.js";

const form = find("#composer");
const field = find("#question");
const send = find("#send");
const stop = find("#stop");
const limit = Number(document.body.dataset.maxMessageChars);
let running = false;
let draft = "";

/** @param {{ask: Ask, stop(): void}} chat */
export function start(chat) {
	field.oninput = changed;
	field.onkeydown = (event) => {
		// 229: a key of a composition, in Safari the Enter that ends it too.
		if (event.key !== "Enter" || event.shiftKey || event.keyCode === 229) return;
		event.preventDefault();
		form.requestSubmit();
	};
	form.onsubmit = async (event) => {
		event.preventDefault();
		if (send.disabled) return;
		const { value } = field;
		if ((await chat.ask(value.trim())) && field.value === value) write("");
	};
	stop.onclick = () => chat.stop();
}

const key = () => `thumbprint.draft${location.pathname}`;

/** Turn to the conversation at this address: its draft comes back. */
export function turnTo() {
	draft = key();
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
	sessionStorage.removeItem(draft);
	draft = key(); // a new conversation got its address
	if (field.value) sessionStorage.setItem(draft, field.value);
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
