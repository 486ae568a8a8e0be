/** The reader's conversations in the sidebar, newest first: open, rename in place, delete when sure. */
import { api } from "./api.js";
import { copyOf, element, find } from "./element.js";
import { say, show } from "./notice.js";
import { go } from "./router.js";

const NAME = document.title;
const root = find("#conversations");
const dialog = find("#confirm", document, HTMLDialogElement);
/** @type {ConversationSummary[]} */
let items = [];
/** @type {string | null} */
let current = null;
let asked = 0;

/** Bring the list up to date; an old answer never replaces a newer one. */
export async function load() {
	const mine = ++asked;
	const answer = await api.conversations().catch(() => null);
	if (!answer || mine !== asked) return;
	items = answer.conversations;
	draw();
}

/** @param {string | null} id of the open conversation */
export function select(id) {
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
	if (focused) focus(focused);
}

function focus(/** @type {string} */ rowId) {
	document.getElementById(rowId)?.querySelector("a")?.focus();
}

function row(/** @type {ConversationSummary} */ { id, title }) {
	const node = copyOf("conversation-row");
	const link = find("a", node, HTMLAnchorElement);
	node.id = `row-${id}`;
	link.textContent = link.title = title;
	link.href = `/c/${id}`;
	if (id === current) link.ariaCurrent = "page";
	for (const button of node.querySelectorAll("button")) {
		button.ariaLabel = button.title += `: ${title}`;
		const act = button.matches(":last-child") ? ask : edit;
		button.addEventListener("click", () => act(id, title, node));
	}
	return node;
}

/** @param {string} id @param {string} value @param {HTMLElement} row */
function edit(id, value, row) {
	const field = Object.assign(element("input"), { ariaLabel: "Title", maxLength: 120, value });
	let keep = true;
	field.addEventListener("keydown", (event) => {
		if (event.isComposing || !["Escape", "Enter"].includes(event.key)) return;
		event.preventDefault();
		keep = event.key === "Enter";
		field.blur();
	});
	field.addEventListener(
		"blur",
		async () => {
			const title = field.value.trim();
			if (keep && title && title !== value)
				await attempt(async () => {
					const renamed = await api.rename(id, title);
					items = items.map((item) => (item.id === id ? renamed : item));
				});
			field.remove();
			draw();
			focus(row.id);
		},
		{ once: true },
	);
	row.replaceChildren(field);
	field.select();
}

/** @param {string} id @param {string} title */
function ask(id, title) {
	dialog.returnValue = "";
	find("[data-title]", dialog).textContent = title;
	dialog.onclose = () => {
		if (dialog.returnValue !== "delete") return;
		attempt(async () => {
			await api.remove(id);
			asked++;
			items = items.filter((item) => item.id !== id);
			if (id === current) go("/");
			draw();
			say("Conversation deleted.");
		});
	};
	dialog.showModal();
}

async function attempt(/** @type {() => Promise<void>} */ work) {
	await work().catch((error) => show(error.message));
}
