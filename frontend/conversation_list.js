/** The reader's conversations in the sidebar, newest first. */
import { api } from "./api.js";
import { copyOf, find } from "./element.js";
import { say, show } from "./notice.js";
import { go } from "./router.js";

const NAME = document.title;
const root = find("#conversations");
/** @type {Summary[]} */
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
	const focused = document.activeElement?.closest("li")?.id ?? "";
	root.replaceChildren(...items.map(row));
	document.getElementById(focused)?.querySelector("a")?.focus();
}

function row(/** @type {Summary} */ item) {
	const { id, title } = item;
	const node = copyOf("conversation-row");
	const link = find("a", node);
	node.id = `row-${id}`;
	link.textContent = link.title = title;
	link.href = `/c/${id}`;
	if (id === current) link.ariaCurrent = "page";
	for (const button of node.querySelectorAll("button")) {
		button.ariaLabel = button.title += `: ${title}`;
		const act = button.matches(":last-child") ? remove : rename;
		button.onclick = () => act(item).catch(() => show("This did not load. Try again."));
	}
	return node;
}

const changes = () => import("./conversation_changes.js");

async function rename(/** @type {Summary} */ item) {
	const { rename: ask } = await changes();
	const renamed = await ask(item, find(`#row-${item.id}`));
	items = items.map((each) => (renamed?.id === each.id ? renamed : each));
	draw();
}

async function remove(/** @type {Summary} */ item) {
	const { remove: ask } = await changes();
	if (!(await ask(item))) return;
	asked++;
	items = items.filter(({ id }) => id !== item.id);
	if (item.id === current) go("/");
	draw();
	say("Conversation deleted.");
}
