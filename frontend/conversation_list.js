/** The reader's conversations in the sidebar, newest first: open, rename in place, delete when sure. */
import { api } from "./api.js";
import { copyOf, element, find } from "./element.js";
import { say, show } from "./notice.js";
import { go } from "./router.js";

const NAME = document.title;
const root = find("#conversations");
const dialog = find("#confirm");
/** @type {ConversationSummary[]} */
let items = [];
/** @type {string | undefined} */
let current;
let asked = 0;

/** An old answer never replaces a newer one. */
export async function load() {
	const mine = ++asked;
	const answer = await api.conversations().catch(() => null);
	if (!answer || mine !== asked) return;
	items = answer.conversations;
	draw();
}

export function select(/** @type {string | undefined} */ id) {
	current = id;
	draw();
}

function draw() {
	const title = items.find(({ id }) => id === current)?.title;
	find("#title").textContent = title ?? NAME;
	document.title = title ? `${title} · ${NAME}` : NAME;
	if (root.querySelector("input")) return;
	const focused = document.activeElement?.closest("li")?.id;
	root.replaceChildren(...items.map(row));
	focus(focused);
}

function focus(rowId = "") {
	document.getElementById(rowId)?.querySelector("a")?.focus();
}

function row(/** @type {ConversationSummary} */ { id, title }) {
	const node = copyOf("conversation-row");
	const link = find("a", node);
	node.id = `row-${id}`;
	link.textContent = link.title = title;
	link.href = `/c/${id}`;
	if (id === current) link.ariaCurrent = "page";
	for (const button of node.querySelectorAll("button")) {
		button.ariaLabel = button.title += `: ${title}`;
		const act = button.matches(":last-child") ? ask : edit;
		button.onclick = () => act(id, title, node);
	}
	return node;
}

/** @type {RowAction} */
function edit(id, value, row) {
	const field = Object.assign(element("input"), { ariaLabel: "Title", maxLength: 120, value });
	let keep = true;
	field.onkeydown = (event) => {
		if (event.isComposing || !["Escape", "Enter"].includes(event.key)) return;
		event.preventDefault();
		keep = event.key === "Enter";
		field.blur();
	};
	field.onblur = async () => {
		field.onblur = null;
		const title = field.value.trim();
		if (keep && title && title !== value) {
			const renamed = await api.rename(id, title).catch(failed);
			items = items.map((item) => (renamed && item.id === id ? renamed : item));
		}
		field.remove();
		draw();
		focus(row.id);
	};
	row.replaceChildren(field);
	field.select();
}

/** @type {RowAction} */
function ask(id, title) {
	dialog.returnValue = "";
	find("[data-title]", dialog).textContent = title;
	dialog.onclose = async () => {
		if (dialog.returnValue !== "delete" || !(await api.remove(id).catch(failed))) return;
		asked++;
		items = items.filter((item) => item.id !== id);
		if (id === current) go("/");
		draw();
		say("Conversation deleted.");
	};
	dialog.showModal();
}

function failed(/** @type {Error} */ { message }) {
	show(message);
}
