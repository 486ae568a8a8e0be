/** "My feedback": a page at a time, one card for each answer. */
import { api } from "../api.js";
import { find } from "../element.js";
import { feedbackOf } from "../feedback/feedback.js";
import { say } from "../notice.js";
import * as unsent from "../unsent.js";
import { cardOf } from "./card.js";
import "./forget.js";

const list = find("#cards");
const more = find("#more");
const line = find("#unsent");
const refused = find("#refused");
/** @type {Map<string, Card>} by turn */
const cards = new Map();
/** Turns of which something was not sent when the page came: a first verdict is on no list yet. */
const early = new Set(waiting().map(({ turn }) => turn));
/** @type {string | null} */
let next = null;
let loaded = false;

async function load() {
	const query = next ? `?before=${encodeURIComponent(next)}` : "";
	const loading = find("#loading");
	const notice = find("#notice");
	notice.hidden = true;
	try {
		/** @type {SaidPage} */
		const page = await api.call("GET", `/feedback/mine${query}`);
		const first = page.feedback.find((record) => !cards.has(record.client_request_id));
		for (const record of page.feedback) add(record);
		next = page.next;
		const focused = document.activeElement === more;
		more.hidden = next === null;
		more.textContent = "Show more";
		if (focused) moveOn(first && cards.get(first.client_request_id));
		if (query) say(`${cards.size} answers shown.`);
	} catch (error) {
		notice.textContent = /** @type {Error} */ (error).message;
		notice.hidden = more.hidden = false;
		more.textContent = "Try again";
		say(notice.textContent);
	}
	loading.hidden = true;
	find("#empty").hidden = cards.size > 0 || !more.hidden;
}

/** From the button to the first new card; if it is gone and brought none, to the last one. */
function moveOn(/** @type {Card | undefined} */ first) {
	const card = first ?? (more.hidden ? [...cards.values()].at(-1) : undefined);
	card?.node.querySelector("a")?.focus();
}

function add(/** @type {SaidRecord} */ record) {
	const { client_request_id: turn } = record;
	const card = cards.get(turn) ?? cardOf(record, tellUnsent);
	if (!cards.has(turn)) list.append(card.node);
	cards.set(turn, card);
	card.take(record);
}

/** What waits to be sent; the app's own notes are not the reader's words. */
function waiting() {
	return unsent.all().filter(({ name }) => !name.startsWith("implicit_"));
}

/** Told anew after every change: what was sent, refused, or dropped by another tab waits no more. */
function tellUnsent() {
	const wishes = waiting();
	for (const { turn } of wishes) if (!cards.has(turn)) feedbackOf(turn).changed = tellUnsent;
	// What is just being sent needs no mention.
	line.hidden = !wishes.some(
		({ turn, name }) => feedbackOf(turn).shown.get(name)?.state !== "sending",
	);
	// Once you are forgotten, the page says that, and stays.
	if (!loaded || !list.isConnected) return;

	const unlisted = [...early].filter((turn) => !cards.has(turn));
	const parts = unlisted.flatMap((turn) => [...feedbackOf(turn).shown.values()]);
	const reasons = parts.filter(({ state }) => state === "refused").map(({ reason }) => reason);
	const words = [...new Set(reasons)].join(" ");
	const reason = find("span", refused);
	if (reason.textContent !== words) reason.textContent = words; // heard once
	refused.hidden = !words;
	// Not before all are through: a reason that comes while the page goes is never read.
	const isThrough = !wishes.some(({ turn }) => unlisted.includes(turn));
	if (unlisted.length && isThrough && !words) location.reload();
}

more.onclick = load;
load().then(() => {
	loaded = true;
	tellUnsent();
});
unsent.onOthers(tellUnsent);
